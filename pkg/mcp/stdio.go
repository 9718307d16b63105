package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// lastAnswers is how long pending requests are still answered after the client has
// closed its side.
const lastAnswers = 15 * time.Second

// Serve serves one client over a pair of streams, one JSON message per line, until
// the client closes its side or ctx ends. Requests sent before that are still
// answered.
func Serve(ctx context.Context, s *sdk.Server, in io.Reader, out io.Writer) error {
	t := &pending{out: out, answered: make(chan struct{}, 1)}
	lines, write := io.Pipe()
	go t.read(ctx, in, write) // ends when in does
	err := s.Run(ctx, &sdk.IOTransport{Reader: lines, Writer: t})
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil // the client has disconnected
	}
	return err
}

// pending counts the requests that have not been answered.
type pending struct {
	out      io.Writer
	answered chan struct{} // capacity 1

	mu   sync.Mutex
	open int
}

// message has the members that distinguish a request from a notification and a
// response.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
}

// read passes the client's messages on to the SDK. It delays their end until all
// requests are answered, because the SDK then cancels the requests in flight.
func (p *pending) read(ctx context.Context, in io.Reader, to *io.PipeWriter) {
	from := io.TeeReader(in, to)
	decoder := json.NewDecoder(from)
	for {
		var m message
		if err := decoder.Decode(&m); err != nil {
			if !errors.Is(err, io.EOF) {
				io.Copy(io.Discard, from) // the SDK reports what is wrong with it
			}
			break
		}
		if len(m.ID) > 0 && m.Method != "" {
			p.add(1)
		}
	}
	timer := time.NewTimer(lastAnswers)
	defer timer.Stop()
	for p.count() > 0 {
		select {
		case <-p.answered:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		break
	}
	to.Close()
}

func (p *pending) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open += n
}

func (p *pending) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// Write writes one message of the server, with its newline.
func (p *pending) Write(data []byte) (int, error) {
	n, err := p.out.Write(data)
	var m message
	if json.Unmarshal(bytes.TrimSpace(data), &m) == nil && len(m.ID) > 0 && m.Method == "" {
		p.add(-1)
		select {
		case p.answered <- struct{}{}:
		default:
		}
	}
	return n, err
}

// Close does not close the stream, because it is the process's standard output.
func (p *pending) Close() error { return nil }
