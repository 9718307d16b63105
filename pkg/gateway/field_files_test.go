package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/test/standin"
)

// withSite returns a gateway for which every public name resolves to a site with files.
func withSite(t *testing.T) *world {
	t.Helper()
	site := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.pdf":
			rw.Header().Set("Content-Type", "application/pdf")
			rw.Write([]byte("%PDF-1.7"))
		case "/notes.txt":
			rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
			rw.Write([]byte("High water at four."))
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(site.Close)
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	return newWorld(t, func(c *gateway.Config) {
		c.TLS = &tls.Config{RootCAs: roots}
		c.Resolve = func(_ context.Context, host string) ([]net.IPAddr, error) {
			if host == "example.com" {
				return []net.IPAddr{{IP: net.IPv4(93, 184, 215, 14)}}, nil
			}
			return net.DefaultResolver.LookupIPAddr(context.Background(), host)
		}
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "93.184.215.14:") {
				address = site.Listener.Addr().String()
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
}

// TestFilesByURL checks that a file by URL reaches each provider in the way it supports: by
// URL if it fetches files itself, otherwise downloaded, with the address rules.
func TestFilesByURL(t *testing.T) {
	w := withSite(t)
	servers := map[string]*standin.Server{
		"claude": standin.Anthropic(t, canary), "gemini": standin.Gemini(t, canary), "gpt": standin.OpenAI(t, canary), "deepseek": standin.Chat(t, canary),
	}
	w.keys.put("anthropic", servers["claude"].URL+"/v1")
	w.keys.put("google", servers["gemini"].URL+"/v1beta")
	w.keys.put("openai", servers["gpt"].URL+"/v1")
	w.keys.put("deepseek", servers["deepseek"].URL+"/v1")
	pdf := base64.StdEncoding.EncodeToString([]byte("%PDF-1.7"))
	const (
		file    = `{"type":"input_file","file_url":"https://example.com/a.pdf"}`
		text    = `{"type":"input_file","file_url":"https://example.com/notes.txt"}`
		sumup   = `{"type":"input_text","text":"sum up"}`
		doc     = `"max_tokens":50,"messages":[{"role":"user","content":[{"type":"document","title":"A","source":{"type":"url","url":"https://example.com/a.pdf"}},{"type":"text","text":"sum up"}]}]`
		inCall  = `"input":[{"role":"user","content":"go"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"here"},` + file + `]}]`
		inlined = `"inlineData":{"mimeType":"application/pdf","data":"`
	)
	for _, c := range []struct{ name, path, body, want string }{
		{"Responses on claude", "/v1/responses", `{"model":"claude-sonnet-4-5","input":[{"role":"user","content":[` + file + `,` + sumup + `]}]}`, `{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}`},
		{"Responses on claude, a text", "/v1/responses", `{"model":"claude-sonnet-4-5","input":[{"role":"user","content":[` + text + `,` + sumup + `]}]}`, `notes.txt\n\nHigh water at four.`},
		{"Responses on claude, of a tool", "/v1/responses", `{"model":"claude-sonnet-4-5",` + inCall + `}`, `{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}`},
		{"Responses on gemini", "/v1/responses", `{"model":"gemini-2.5-flash","input":[{"role":"user","content":[` + file + `,` + sumup + `]}]}`, inlined + pdf},
		{"Responses on gemini, a text", "/v1/responses", `{"model":"gemini-2.5-flash","input":[{"role":"user","content":[` + text + `,` + sumup + `]}]}`, `"inlineData":{"mimeType":"text/plain","data":"`},
		{"Responses on gemini, of a tool", "/v1/responses", `{"model":"gemini-2.5-flash",` + inCall + `}`, inlined + pdf},
		{"Responses on deepseek", "/v1/responses", `{"model":"deepseek/deepseek-chat","input":[{"role":"user","content":[` + file + `,` + sumup + `]}]}`, `"file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,` + pdf},
		{"Messages on gemini", "/v1/messages", `{"model":"gemini-2.5-flash",` + doc + `}`, inlined + pdf},
		{"Messages on gpt", "/v1/messages", `{"model":"gpt-4o",` + doc + `}`, `"file":{"filename":"A","file_data":"data:application/pdf;base64,` + pdf},
		{"Messages on gpt by responses", "/v1/messages", `{"model":"gpt-5-codex",` + doc + `}`, `"file_url":"https://example.com/a.pdf"`},
		{"Gemini on claude", "/v1beta/models/claude-sonnet-4-5:generateContent", `{"contents":[{"role":"user","parts":[{"fileData":{"mimeType":"application/pdf","fileUri":"https://example.com/a.pdf"}}]}]}`, `{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}`},
		{"Gemini on gpt", "/v1beta/models/gpt-4o:generateContent", `{"contents":[{"role":"user","parts":[{"fileData":{"mimeType":"application/pdf","fileUri":"https://example.com/a.pdf"}}]}]}`, `"file_data":"data:application/pdf;base64,` + pdf},
		{"PDF, Messages on gemini", "/v1/messages", `{"model":"gemini-2.5-flash","max_tokens":50,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}]}]}`, inlined + pdf},
		{"PDF, Gemini on claude", "/v1beta/models/claude-sonnet-4-5:generateContent", `{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"application/pdf","data":"` + pdf + `"}}]}]}`, `"source":{"type":"base64","media_type":"application/pdf","data":"` + pdf},
		{"PDF, Responses on claude", "/v1/responses", `{"model":"claude-sonnet-4-5","input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,` + pdf + `"}]}]}`, `"source":{"type":"base64","media_type":"application/pdf","data":"` + pdf},
	} {
		a := w.do("POST", c.path, c.body)
		var to *standin.Server
		for name, s := range servers {
			if strings.Contains(c.name, "on "+name) {
				to = s
			}
		}
		if a.status != 200 {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		} else if got := string(to.Last(t).Body); !strings.Contains(got, c.want) {
			t.Errorf("%s: no %s in\n%s", c.name, c.want, got)
		}
	}
	for _, url := range []string{"https://127.0.0.1:1/a.pdf", "https://169.254.169.254/a.pdf", "http://example.com/a.pdf", "https://example.com/missing.pdf"} {
		for _, model := range []string{"gemini-2.5-flash", "gpt-4o"} {
			w.do("POST", "/v1/messages", `{"model":"`+model+`","max_tokens":50,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"`+url+`"}}]}]}`).want(t, 400, "invalid_request_error")
		}
	}
}
