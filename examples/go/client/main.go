// Command client sends each line of its input to an Echo server, without waiting for the answers to earlier ones: client ADDRESS. It
// prints the id and the body of each answer, in the order of the lines.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

const patience = 30 * time.Second

// sent is a line whose answer may not be there yet.
type sent struct {
	line    []byte
	pending *samebytes.Pending
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: client ADDRESS < LINES")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(address string) error {
	client, err := connect(address)
	if err != nil {
		return err
	}
	defer client.Close()
	flying := make(chan sent, samebytes.PipelineMax)
	failed := make(chan error, 1)
	go func() {
		defer close(flying)
		failed <- send(client, flying)
	}()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for request := range flying {
		if err := receive(out, request); err != nil {
			return err
		}
	}
	return <-failed
}

func connect(address string) (*samebytes.Client, error) {
	request, err := samebytes.EchoRequestSchema()
	if err != nil {
		return nil, err
	}
	defer request.Close()
	response, err := samebytes.EchoResponseSchema()
	if err != nil {
		return nil, err
	}
	defer response.Close()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return samebytes.NewClient(conn, []samebytes.Exchange{{Request: request, Response: response}}, nil)
}

// send sends the input's lines. Begin waits when as many are in flight as there are sequences.
func send(client *samebytes.Client, flying chan<- sent) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		line := bytes.Clone(lines.Bytes())
		pending, err := client.Begin(ctx, 0, time.Now().UnixMilli(), "line", []int16{}, line)
		cancel()
		if err != nil {
			return err
		}
		flying <- sent{line, pending}
	}
	return lines.Err()
}

func receive(out *bufio.Writer, request sent) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := request.pending.Wait(ctx)
	if err != nil {
		return err
	}
	body := answer.Values[3].([]byte)
	if !bytes.Equal(body, request.line) {
		return fmt.Errorf("the answer to %q is %q", request.line, body)
	}
	_, err = fmt.Fprintf(out, "%d %s\n", answer.Values[0], body)
	return err
}
