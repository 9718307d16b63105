package respond

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/secret"
)

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) Flush()                      {}

// BenchmarkPassEvents measures the gateway's own work for the events of a forwarded stream:
// splitting, inspecting, redacting and writing.
func BenchmarkPassEvents(b *testing.B) {
	for _, shape := range []struct {
		name  dialect.Name
		event string
	}{
		{dialect.OpenAI, `data: {"id":"chatcmpl-AbCdEfGhIjKlMnOp","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" token %d"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"},
		{dialect.Anthropic, "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" token %d"}}` + "\n\n"},
		{dialect.Responses, "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_0123456789abcdef","output_index":0,"content_index":0,"delta":" token %d","logprobs":[]}` + "\n\n"},
	} {
		b.Run(string(shape.name), func(b *testing.B) {
			const events = 1000
			var text bytes.Buffer
			for i := range events {
				fmt.Fprintf(&text, shape.event, i)
			}
			key := redact.New(6, secret.New("sk-proj-0123456789abcdefghijklmnopqrstuvwxyz"))
			w := NewWriter(discard{http.Header{}})
			in := bytes.NewReader(nil)
			b.ReportAllocs()
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				in.Reset(text.Bytes())
				s := stream{w: w, upstream: shape.name, caller: shape.name, key: key}
				if err := s.run(context.Background(), &onePiece{in, text.Len() / events}); s.result.Reported || err == nil {
					b.Fatal("the stream came to an end that it does not have")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
		})
	}
}

// onePiece returns about one event per Read, as a provider sends them.
type onePiece struct {
	*bytes.Reader
	size int
}

func (o *onePiece) Read(p []byte) (int, error) { return o.Reader.Read(p[:min(len(p), o.size)]) }
