// Package echo reads and writes Echo messages, which the wire format is shown with (docs/wire-format.md), as Go structures.
//
// It stands on package samebytes, whose errors it returns.
package echo

import (
	"errors"
	"slices"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// Request is an Echo request. Builder.Add ignores StreamOffset and APIKey.
type Request = samebytes.EchoRequestRow

// Response is an Echo response. Builder.AddResponse ignores StreamOffset and APIKey.
type Response = samebytes.EchoResponseRow

// Builder turns messages into frames, one behind the other. Close it when done.
type Builder struct {
	frames *samebytes.Builder
}

// NewBuilder makes an empty builder whose frames lie in memory of the provider; nil means the default pool.
func NewBuilder(memory *samebytes.Memory) (*Builder, error) {
	frames, err := samebytes.NewBuilder(memory)
	if err != nil {
		return nil, err
	}
	return &Builder{frames}, nil
}

// Add adds a request. What it holds is copied.
func (b *Builder) Add(request Request) error {
	return samebytes.EchoAddRequest(b.frames, &samebytes.EchoRequest{
		Timestamp: request.Timestamp,
		Subject:   request.Subject,
		Metadata:  request.Metadata,
		Body:      request.Body,
		Sequence:  request.Sequence,
	})
}

// AddResponse adds a response. What it holds is copied.
func (b *Builder) AddResponse(response Response) error {
	return samebytes.EchoAddResponse(b.frames, &samebytes.EchoResponse{
		Timestamp: response.Timestamp,
		Subject:   response.Subject,
		Body:      response.Body,
		ID:        response.ID,
		Sequence:  response.Sequence,
	})
}

// AddAll adds many requests, all of them or none, in far less time than Add takes for them. An error's Frame counts the messages added since
// the last Take or Clear, and those of the call before the refused one.
func (b *Builder) AddAll(requests []Request) error {
	return addAll(b.frames, requests, func(r *Request) samebytes.EchoRequest {
		return samebytes.EchoRequest{Timestamp: r.Timestamp, Subject: r.Subject, Metadata: r.Metadata, Body: r.Body, Sequence: r.Sequence}
	}, func(part []samebytes.EchoRequest) error { return samebytes.EchoAddRequests(b.frames, part) })
}

// AddAllResponses is AddAll for responses.
func (b *Builder) AddAllResponses(responses []Response) error {
	return addAll(b.frames, responses, func(r *Response) samebytes.EchoResponse {
		return samebytes.EchoResponse{Timestamp: r.Timestamp, Subject: r.Subject, Body: r.Body, ID: r.ID, Sequence: r.Sequence}
	}, func(part []samebytes.EchoResponse) error { return samebytes.EchoAddResponses(b.frames, part) })
}

// addAll converts and adds in parts, so that there is never a second copy of all.
func addAll[From, To any](frames *samebytes.Builder, from []From, convert func(*From) To, add func([]To) error) error {
	size, count := frames.Size(), frames.FrameCount()
	part := make([]To, 0, min(len(from), 256))
	for chunk := range slices.Chunk(from, 256) {
		part = part[:0]
		for i := range chunk {
			part = append(part, convert(&chunk[i]))
		}
		if err := add(part); err != nil {
			if frames.FrameCount() > count {
				return errors.Join(err, frames.Truncate(size, count))
			}
			return err
		}
	}
	return nil
}

// Bytes returns a copy of all frames; the builder keeps them.
func (b *Builder) Bytes() ([]byte, error) {
	return b.frames.Bytes()
}

// Size returns the number of bytes of all frames.
func (b *Builder) Size() int {
	return b.frames.Size()
}

// Take takes all frames out as a view, which the caller closes, without copying; the builder is empty then.
func (b *Builder) Take() (*samebytes.View, error) {
	return b.frames.Take()
}

// Clear drops all frames.
func (b *Builder) Clear() {
	b.frames.Clear()
}

// Close gives the builder's memory back. It never fails.
func (b *Builder) Close() error {
	return b.frames.Close()
}
