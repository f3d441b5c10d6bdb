// Command server answers Echo requests over TCP: server [ADDRESS]. Without an address it takes a free port of 127.0.0.1, and prints which.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func main() {
	log.SetFlags(0)
	address := "127.0.0.1:0"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	request, err := samebytes.EchoRequestSchema()
	if err != nil {
		log.Fatal(err)
	}
	response, err := samebytes.EchoResponseSchema()
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn, samebytes.Exchange{Request: request, Response: response})
	}
}

// serve answers the requests of one connection; their ids count from 0.
func serve(conn net.Conn, exchange samebytes.Exchange) {
	peer, id := conn.RemoteAddr(), 0
	echo := func(_ context.Context, request samebytes.Message, reply *samebytes.Reply) {
		timestamp, subject, body := request.Values[0], request.Values[1], request.Values[3]
		if err := reply.Send(id, timestamp, subject, body); err != nil {
			log.Printf("%s: request %d: %v", peer, id, err)
		}
		id++
	}
	if err := samebytes.Serve(context.Background(), conn, []samebytes.Exchange{exchange}, echo, nil); err != nil {
		log.Printf("%s: %v", peer, err)
	}
}
