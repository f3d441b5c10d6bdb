package echo

import (
	"sync"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// Parser decodes a stream of Echo messages of one direction. Close it when done. One goroutine uses it at a time.
type Parser struct {
	parser    *samebytes.Parser
	batch     *samebytes.Batch
	direction int32
	showing   sync.Mutex // held while messages are copied from the batch, so that no Close comes in between
}

// NewParser makes a parser for samebytes.DirectionRequest or samebytes.DirectionResponse; nil options mean the defaults.
func NewParser(direction int32, options *samebytes.ParserOptions) (*Parser, error) {
	open := samebytes.EchoRequestSchema
	if direction == samebytes.DirectionResponse {
		open = samebytes.EchoResponseSchema
	} else if direction != samebytes.DirectionRequest {
		return nil, refuse("direction is neither DirectionRequest nor DirectionResponse")
	}
	schema, err := open()
	if err != nil {
		return nil, err
	}
	defer schema.Close()
	parser, err := samebytes.NewParser([]*samebytes.Schema{schema}, options)
	if err != nil {
		return nil, err
	}
	batch, err := samebytes.NewBatch()
	if err != nil {
		parser.Close()
		return nil, err
	}
	return &Parser{parser: parser, batch: batch, direction: direction}, nil
}

func refuse(problem string) error {
	return &samebytes.Error{Status: samebytes.ErrInvalidArgument, Frame: samebytes.NoFrame, Message: problem}
}

// Feed appends a copy of data to what has been received. After the end of the stream it returns the error that ended it.
func (p *Parser) Feed(data []byte) error {
	return p.parser.Feed(data)
}

// Buffer lends the parser's receive memory, so that a socket is read into it without a copy. It may be written until the next call on
// the parser.
func (p *Parser) Buffer() ([]byte, error) {
	return p.parser.Buffer()
}

// Commit says that the first size bytes of what Buffer lent have been received.
func (p *Parser) Commit(size int) error {
	return p.parser.Commit(size)
}

// Parse returns every complete request that has been received. They are the caller's; those of one call share memory.
//
// A frame that is bad is left out and listed by Errors. A Size that cannot be ends the stream: Parse first delivers the requests before
// it, then returns the error, at once where there are none.
func (p *Parser) Parse() ([]Request, error) {
	return p.AppendRequests(nil)
}

// AppendRequests is Parse for a caller who uses the memory of earlier requests again: it appends to requests, and returns them as they
// were together with an error.
func (p *Parser) AppendRequests(requests []Request) ([]Request, error) {
	return parse(p, samebytes.DirectionRequest, requests, samebytes.EchoCopyRequests)
}

// ParseResponses is Parse for a parser of responses.
func (p *Parser) ParseResponses() ([]Response, error) {
	return p.AppendResponses(nil)
}

// AppendResponses is AppendRequests for a parser of responses.
func (p *Parser) AppendResponses(responses []Response) ([]Response, error) {
	return parse(p, samebytes.DirectionResponse, responses, samebytes.EchoCopyResponses)
}

// Errors returns what the last parse refused, in the order of the stream.
func (p *Parser) Errors() ([]*samebytes.Error, error) {
	return p.batch.Errors()
}

// Need returns how many bytes were missing for the next frame when the last parse ended.
func (p *Parser) Need() int {
	return p.batch.Need()
}

// Close gives the parser's memory back. It never fails.
func (p *Parser) Close() error {
	p.showing.Lock()
	defer p.showing.Unlock()
	p.batch.Close()
	return p.parser.Close()
}

func parse[T any](p *Parser, direction int32, messages []T, appendCopies func(*samebytes.Batch, []T) ([]T, error)) ([]T, error) {
	if p.direction != direction {
		return messages, refuse("Parse is for requests, ParseResponses for responses; the parser was made for the other direction")
	}
	p.showing.Lock()
	defer p.showing.Unlock()
	if err := p.parser.Parse(p.batch); err != nil {
		return messages, err
	}
	return appendCopies(p.batch, messages)
}
