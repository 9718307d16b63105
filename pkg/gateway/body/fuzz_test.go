package body

import (
	"bytes"
	"io"
	"testing"

	"github.com/hostless/hostless/pkg/jsonscan"
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

// FuzzForm checks that Replay changes nothing in a form except its model.
func FuzzForm(f *testing.F) {
	f.Add([]byte("--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\np/m\r\n--B\r\n\r\nx\r\n--B--\r\n"), []byte{7}, true)
	f.Add([]byte("pre\r\n--B \r\nContent-Disposition: form-data; name=\"file\"; filename=x\r\n\r\n\r\n--B--"), []byte{1}, false)
	f.Fuzz(func(t *testing.T, data, cuts []byte, all bool) {
		p := formParser{in: &chopped{data: bytes.Clone(data), cuts: cuts}, limit: 1 << 20, delimiter: []byte("\r\n--B")}
		p.ctx = t.Context()
		form, err := p.parse(all)
		if err != nil {
			return
		}
		again, grew := form.Replay(form.Model)
		out, err := io.ReadAll(again)
		if err != nil || grew != 0 || !bytes.Equal(out, data) {
			t.Fatalf("%q became %q, %v", data, out, err)
		}
		if form.Model != "" && len(form.models) > 0 && string(form.models[0].Of(form.prefix)) != form.Model {
			t.Fatalf("the model is not where it was found")
		}
	})
}

// FuzzMessage checks that WithModels changes only the models of a message.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"type":"response.create","model":"a/b","session":{"model":"c"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, ok := ParseMessage(bytes.Clone(data))
		if !ok {
			return
		}
		if out := m.WithModels(func(s string) string { return s }); !bytes.Equal(out, data) {
			t.Fatalf("%q became %q", data, out)
		}
		out := m.WithModels(func(s string) string { return s + "x" })
		if _, err := jsonscan.Skim(out, func([]byte, jsonscan.Span) error { return nil }); err != nil {
			t.Fatalf("%q became %q: %v", data, out, err)
		}
	})
}
