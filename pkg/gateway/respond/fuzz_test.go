package respond

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/secret"
)

// chopped returns data in pieces with the sizes in cuts.
type chopped struct {
	data, cuts []byte
	i          int
}

func (c *chopped) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := 1
	if len(c.cuts) > 0 {
		n = int(c.cuts[c.i%len(c.cuts)])%97 + 1
		c.i++
	}
	n = copy(p, c.data[:min(n, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

// FuzzStream checks that the output does not depend on how a stream is split into reads,
// and that nothing is lost except the usage chunk that only Hostless asked for.
func FuzzStream(f *testing.F) {
	f.Add([]byte("data: {\"a\":1}\n\ndata: [DONE]\n\n"), []byte{1}, false)
	f.Add([]byte("event: x\r\ndata: 1\r\ndata: 2\r\n\r\n: c\r\rdata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\nrest"), []byte{3, 90}, true)
	f.Add([]byte("\n\r\n\r\r\r\n\n"), []byte{2}, false)
	f.Fuzz(func(t *testing.T, data, cuts []byte, drop bool) {
		run := func(cuts []byte) (string, usage.Report) {
			w := httptest.NewRecorder()
			s := stream{w: NewWriter(w), upstream: "", caller: dialect.OpenAI, dropUsage: drop}
			if err := s.run(context.Background(), &chopped{data: bytes.Clone(data), cuts: cuts}); err != nil && s.end == running {
				body := w.Body.String()
				if i := strings.LastIndex(body, "data: {\"error\""); i >= 0 {
					return body[:i], s.result.Usage
				}
				t.Fatalf("a broken stream without its error event: %q", body)
			}
			return w.Body.String(), s.result.Usage
		}
		whole, spentWhole := run([]byte{96})
		cut, spentCut := run(cuts)
		if whole != cut || spentWhole != spentCut {
			t.Fatalf("cutting changed the stream:\n%q %v\n%q %v", whole, spentWhole, cut, spentCut)
		}
		if !drop && !strings.HasPrefix(string(data), whole) {
			t.Fatalf("bytes changed: %q became %q", data, whole)
		}
		if !bytes.Contains(data, []byte("data")) {
			return
		}
		if !drop && len(whole) < len(data) && strings.Contains(string(data[len(whole):]), "\n\n") {
			t.Fatalf("whole events are missing: %q became %q", data, whole)
		}
	})
}

// FuzzRelay checks that the key never passes and nothing else is lost, however the response
// is split into reads.
func FuzzRelay(f *testing.F) {
	const key = "sk-abcabcabd-0"
	f.Add([]byte("x"+key+"y"), []byte{5})
	f.Add([]byte("sk-abcsk-abcabcabcabd-0"), []byte{1})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		w := httptest.NewRecorder()
		r := relay{w: NewWriter(w), key: redact.New(1, secret.New(key))}
		if err := r.run(&chopped{data: bytes.Clone(data), cuts: cuts}); err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(string(data), key, "[redacted]"); w.Body.String() != want && !bytes.Contains(data, []byte{'\\'}) || strings.Contains(w.Body.String(), key) {
			t.Fatalf("got %q, want %q", w.Body.String(), want)
		}
	})
}
