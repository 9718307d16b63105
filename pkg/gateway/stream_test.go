package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/klauspost/compress/zstd"
)

const streamBody = `{"model":"gpt-4o","stream":true}`

func events(rw http.ResponseWriter) func(string) {
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(200)
	return func(s string) {
		io.WriteString(rw, s)
		rw.(http.Flusher).Flush()
	}
}

func TestEventsAreFlushedOneByOne(t *testing.T) {
	w := newWorld(t)
	next := make(chan struct{})
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		send := events(rw)
		for i := range 3 {
			send(fmt.Sprintf("data: {\"n\":%d}\n\n", i))
			<-next // sent only after the previous one has arrived
		}
		send("data: [DONE]\n\n")
	})
	resp, err := noRedirects.Do(w.request("POST", "/v1/chat/completions", streamBody))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := in.ReadString('\n')
		if want := fmt.Sprintf("data: {\"n\":%d}\n", i); err != nil || line != want {
			t.Fatalf("got %q, %v; want %q", line, err, want)
		}
		in.ReadString('\n')
		next <- struct{}{}
	}
	rest, err := io.ReadAll(in)
	if err != nil || string(rest) != "data: [DONE]\n\n" {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestUsageChunkStaysHere(t *testing.T) {
	chunk := `data: {"choices":[{"delta":{"content":"x"},"finish_reason":null}],"usage":null}` + "\n\n"
	end := `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usage := `data: {"id":"1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}` + "\n\n"
	done := "data: [DONE]\n\n"
	w := newWorld(t)
	var saw string
	h := func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		saw = string(b)
		send := events(rw)
		for _, c := range chunk + end + usage + done { // one byte at a time
			send(string(c))
		}
	}
	w.upstream("openai", h)
	w.upstream("mistral", h)
	if a := w.do("POST", "/v1/chat/completions", streamBody); a.body != chunk+end+done {
		t.Errorf("got %s", a.body)
	}
	if want := `{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}`; saw != want {
		t.Errorf("upstream saw %s", saw)
	}
	if u := w.gw.Usage()[0]; u.InputTokens != 5 || u.OutputTokens != 6 {
		t.Errorf("usage %+v", u)
	}
	asked := `{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}`
	if a := w.do("POST", "/v1/chat/completions", asked); a.body != chunk+end+usage+done || saw != asked {
		t.Errorf("asked for: %s, upstream saw %s", a.body, saw)
	}
	if a := w.do("POST", "/v1/chat/completions", `{"model":"mistral/m","stream":true}`); a.body != chunk+end+usage+done || saw != `{"model":"m","stream":true}` {
		t.Errorf("unmarked provider: %s, upstream saw %s", a.body, saw)
	}
	w.settings.StreamUsageOff = true
	if a := w.do("POST", "/v1/chat/completions", streamBody); a.body != chunk+end+usage+done || saw != streamBody {
		t.Errorf("switched off: %s, upstream saw %s", a.body, saw)
	}
}

func TestCallerGoneEndsTheUpstream(t *testing.T) {
	w := newWorld(t)
	disconnected := make(chan struct{})
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		events(rw)("data: {}\n\n")
		<-r.Context().Done()
		close(disconnected)
	})
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := noRedirects.Do(w.request("POST", "/v1/chat/completions", streamBody).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.ReadFull(resp.Body, make([]byte, 10))
	cancel()
	select {
	case <-disconnected:
	case <-time.After(10 * time.Second):
		t.Fatal("the upstream request was not cancelled")
	}
}

func TestRevocationEndsTheStream(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		events(rw)("data: {}\n\n")
		<-r.Context().Done()
	})
	resp, err := noRedirects.Do(w.request("POST", "/v1/chat/completions", streamBody))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.ReadFull(resp.Body, make([]byte, 10))
	if err := w.tokens.Revoke(context.Background(), secret.New(w.token)); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(rest), `data: {"error":{`) || !strings.Contains(string(rest), "revoked") || strings.Contains(string(rest), "[DONE]") {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestUpstreamDeathInTheMiddle(t *testing.T) {
	for name, tail := range map[string]string{"between events": "", "inside an event": `data: {"choices":[{"del`} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
				events(rw)("data: {\"a\":1}\n\n" + tail)
				conn, _, _ := rw.(http.Hijacker).Hijack()
				conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			})
			a := w.do("POST", "/v1/chat/completions", streamBody)
			body, ok := strings.CutPrefix(a.body, "data: {\"a\":1}\n\n")
			if !ok || !strings.HasPrefix(body, `data: {"error":{"message":"provider`) || strings.Count(body, "\n\n") != 1 || strings.Contains(body, "DONE") || strings.Contains(body, `"del`) {
				t.Errorf("got %q", a.body)
			}
		})
	}
	t.Run("a clean close without an end", func(t *testing.T) {
		w := newWorld(t)
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) { events(rw)("data: {\"a\":1}\n\n") })
		if a := w.do("POST", "/v1/chat/completions", streamBody); !strings.Contains(a.body, `data: {"error"`) {
			t.Errorf("got %q", a.body)
		}
	})
	t.Run("after the end", func(t *testing.T) {
		w := newWorld(t)
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
			events(rw)("data: {\"a\":1,\"error\":null}\n\ndata: [DONE]\n\n")
			panic(http.ErrAbortHandler)
		})
		if a := w.do("POST", "/v1/chat/completions", streamBody); !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
			t.Errorf("got %q", a.body)
		}
	})
	t.Run("after the provider's own error", func(t *testing.T) {
		w := newWorld(t)
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
			events(rw)("data: {\"a\":1}\n\ndata: {\"error\":{\"message\":\"x\"}}\n\n")
		})
		if a := w.do("POST", "/v1/chat/completions", streamBody); strings.Count(a.body, `"error"`) != 1 {
			t.Errorf("got %q", a.body)
		}
	})
	t.Run("after the finish reason", func(t *testing.T) {
		w := newWorld(t)
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
			events(rw)("data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"error\":null}\n\n")
			panic(http.ErrAbortHandler)
		})
		if a := w.do("POST", "/v1/chat/completions", streamBody); strings.Count(a.body, `data: {"error"`) != 1 {
			t.Errorf("got %q", a.body)
		}
	})
	t.Run("in an error", func(t *testing.T) {
		w := newWorld(t)
		before := `{"a":"` + strings.Repeat("another's answer ", 100) + `"}`
		cut := false
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
			if rw.Header().Set("Content-Type", "application/json"); !cut {
				rw.Header().Set("Content-Length", strconv.Itoa(len(before)))
				io.WriteString(rw, before)
				return
			}
			rw.Header().Set("Content-Length", "1000")
			rw.WriteHeader(500)
			io.WriteString(rw, `{"error"`)
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		for range 8 {
			cut = false
			w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 200, "another's")
			cut = true
			if a := w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`); a.status != 500 || a.body != `{"error"` {
				t.Fatalf("got %d %q", a.status, a.body)
			}
		}
	})
	t.Run("in an answer that is no stream", func(t *testing.T) {
		w := newWorld(t)
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "100")
			io.WriteString(rw, `{"a":`)
			panic(http.ErrAbortHandler)
		})
		w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 502, "upstream_error")
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "audio/mpeg")
			io.WriteString(rw, "abc")
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		resp, err := noRedirects.Do(w.request("POST", "/v1/audio/speech", `{"model":"tts-1"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if data, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("a broken download looks complete: %q", data)
		}
	})
}

func TestUnreachableProviders(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config) { c.HeaderTimeout = 50 * time.Millisecond })
	dead := w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {})
	dead.Close()
	w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 502, "upstream_error")
	release := make(chan struct{})
	defer close(release)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) { <-release })
	a := w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`)
	if a.want(t, 504, "upstream_error"); a.header.Get("X-Hostless-Error") != "local" {
		t.Errorf("headers %v", a.header)
	}
	for _, url := range []string{"http://169.254.169.254/v1", "http://10.1.2.3", "http://metadata.test:1/v1"} {
		w := newWorld(t, func(c *gateway.Config) {
			c.Resolve = func(ctx context.Context, host string) ([]net.IPAddr, error) {
				return []net.IPAddr{{IP: net.IPv4(169, 254, 169, 254)}}, nil
			}
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				t.Errorf("the address %s was dialled", addr)
				return nil, errors.New("no")
			}
		})
		w.keys.put("mine", url)
		w.do("POST", "/v1/chat/completions", `{"model":"mine/m"}`).want(t, 400, "--allow-private")
	}
	dialled := ""
	w = newWorld(t, func(c *gateway.Config) {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = addr
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}
	})
	w.keys.putCred("mine", gateway.Credential{BaseURL: "http://10.1.2.3:99", AllowPrivate: true})
	w.do("POST", "/v1/chat/completions", `{"model":"mine/m"}`).want(t, 502, "cannot be reached")
	if dialled != "10.1.2.3:99" {
		t.Errorf("dialled %q", dialled)
	}
}

func TestRedirectIsHandedOn(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "https://elsewhere.example/v1/x?k="+canary, http.StatusTemporaryRedirect)
	})
	a := w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`)
	if a.status != 307 || a.header.Get("Location") != "https://elsewhere.example/v1/x?k=[redacted]" {
		t.Errorf("got %d %v", a.status, a.header)
	}
}

func TestBodyLimitsAndEncodings(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config) { c.MaxBody = 1 << 20 })
	var saw string
	var encoding string
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		saw, encoding = string(b), r.Header.Get("Content-Encoding")
		io.WriteString(rw, "{}")
	})
	large := `{"model":"gpt-4o","x":"` + strings.Repeat("x", 1<<20) + `"}`
	w.do("POST", "/v1/chat/completions", large).want(t, 413, "invalid_request_error")
	req := w.request("POST", "/v1/chat/completions", "")
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(large)), -1
	resp, err := noRedirects.Do(req)
	if err != nil || resp.StatusCode != 413 {
		t.Errorf("chunked: %v, %v", resp, err)
	}
	body := `{"model":"openai/gpt-4o"}`
	zip := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, s)
		z.Close()
		return b.String()
	}
	encoder, _ := zstd.NewWriter(nil)
	for name, compress := range map[string]func(string) string{"gzip": zip, "zstd": func(s string) string { return string(encoder.EncodeAll([]byte(s), nil)) }} {
		w.do("POST", "/v1/chat/completions", compress(body), "Content-Encoding", name).want(t, 200, "{}")
		if saw != `{"model":"gpt-4o"}` || encoding != "" {
			t.Errorf("%s: upstream saw %q, encoding %q", name, saw, encoding)
		}
		w.do("POST", "/v1/chat/completions", compress(`{"model":"`+strings.Repeat("a", 4<<20)+`"}`), "Content-Encoding", name).want(t, 413, "invalid_request_error")
		w.do("POST", "/v1/chat/completions", "no "+name, "Content-Encoding", name).want(t, 400, "invalid_request_error")
	}
	w.do("POST", "/v1/chat/completions", body, "Content-Encoding", "br").want(t, 400, "not supported")
}

func TestCompressedAnswers(t *testing.T) {
	w := newWorld(t)
	plain := "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":2}}\n\ndata: [DONE]\n\n"
	encoding := ""
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		encoding = r.Header.Get("Accept-Encoding")
		rw.Header().Set("Content-Encoding", "gzip")
		rw.Header().Set("Content-Type", "text/event-stream")
		if strings.HasPrefix(r.URL.Path, "/v1/files") {
			rw.Header().Set("Content-Type", "application/octet-stream")
		}
		z := gzip.NewWriter(rw)
		io.WriteString(z, plain)
		z.Close()
	})
	a := w.do("POST", "/v1/chat/completions", streamBody, "Accept-Encoding", "gzip")
	if a.body != plain || a.header.Get("Content-Encoding") != "" {
		t.Errorf("got %v %q", a.header, a.body)
	}
	if u := w.gw.Usage()[0]; u.InputTokens != 2 {
		t.Errorf("usage %+v", u)
	}
	a = w.do("GET", "/v1/files/f/content", "", "Accept-Encoding", "br, gzip;q=0.8")
	if a.header.Get("Content-Encoding") != "gzip" || a.body == plain {
		t.Errorf("a download's own encoding was changed: %v", a.header)
	}
	if encoding != "gzip" {
		t.Errorf("Accept-Encoding %q, want only codings that the gateway can decode", encoding)
	}
	if w.do("GET", "/v1/files/f", "", "Accept-Encoding", "br, deflate"); encoding != "identity" {
		t.Errorf("asked for %q", encoding)
	}
}

func TestKeyIsTakenOutAcrossChunks(t *testing.T) {
	w := newWorld(t)
	for _, cut := range []int{1, 5, len(canary) - 1} {
		for _, kind := range []string{"application/octet-stream", "text/event-stream", "application/json"} {
			w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", kind)
				for _, s := range []string{"data: a" + canary[:cut], canary[cut:] + "b" + canary[:3], "c\n\n"} {
					io.WriteString(rw, s)
					rw.(http.Flusher).Flush()
				}
			})
			a := w.do("GET", "/v1/files/f/content", "")
			if want := "data: a[redacted]b" + canary[:3] + "c\n\n"; a.body != want {
				t.Errorf("cut %d of %s: %q, want %q", cut, kind, a.body, want)
			}
		}
	}
	long := strings.Repeat("x", 2<<20) + canary + strings.Repeat("y", 100)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", fmt.Sprint(len(long)))
		io.WriteString(rw, long)
	})
	if a := w.do("GET", "/v1/files/f/content", ""); len(a.body) != len(long) || !strings.Contains(a.body, "x[redacted]***") {
		t.Errorf("a long download has %d bytes, want %d", len(a.body), len(long))
	}
}

// TestKeyInOversizedEvent checks that an event too large to be buffered is forwarded in
// pieces, and that the key is redacted in each piece and across two of them.
func TestKeyInOversizedEvent(t *testing.T) {
	w := newWorld(t)
	const held = 8 << 20 // the size of the first piece
	for _, at := range []int{100, held - len(canary)/2, held + 5000} {
		filler := strings.Repeat("x", at-len("data: "))
		event := "data: " + filler + canary + strings.Repeat("y", 1<<20) + "\n\n"
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
			send := events(rw)
			send(event + "data: " + canary + "\n\n")
			send("data: [DONE]\n\n")
		})
		a := w.do("POST", "/v1/chat/completions", streamBody)
		want := strings.ReplaceAll(event+"data: "+canary+"\n\ndata: [DONE]\n\n", canary, "[redacted]")
		if a.body != want {
			t.Errorf("key at %d: %d bytes that end %q, want %d; the key is in them: %v", at, len(a.body), a.body[max(0, len(a.body)-60):], len(want), strings.Contains(a.body, canary))
		}
	}
}

func TestInformationalAnswersAndTrailers(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Link", "</x>; rel=preload")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.Header().Del("Link")
		rw.Header().Set("Trailer", "X-Sum")
		io.WriteString(rw, "body")
		rw.Header().Set("X-Sum", "42")
	})
	hints := ""
	req := w.request("GET", "/v1/files/f/content", "")
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = fmt.Sprint(code, h.Get("Link"))
		return nil
	}}))
	resp, err := noRedirects.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || string(data) != "body" || hints != "103</x>; rel=preload" || resp.Header.Get("Link") != "" || resp.Trailer.Get("X-Sum") != "42" {
		t.Errorf("body %q, %v; hints %q; trailer %v; header %v", data, err, hints, resp.Trailer, resp.Header)
	}
}

func TestForms(t *testing.T) {
	w := newWorld(t)
	var saw, kind string
	var length int64
	w.upstream("groq", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		saw, kind, length = string(b), r.Header.Get("Content-Type"), r.ContentLength
		io.WriteString(rw, "{}")
	})
	form := "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: audio/wav\r\n\r\n" + strings.Repeat("\r\n--XY\x00", 20000) +
		"\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngroq/whisper\r\n--XX\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--XX--\r\n"
	w.do("POST", "/v1/audio/transcriptions", form, "Content-Type", "multipart/form-data; boundary=\"XX\"").want(t, 200, "{}")
	want := strings.Replace(form, "groq/whisper", "whisper", 1)
	if saw != want || kind != "multipart/form-data; boundary=\"XX\"" || length != int64(len(want)) {
		t.Errorf("upstream saw %d bytes of %d, type %q, length %d: %v", len(saw), len(want), kind, length, cmp.Diff(saw == want, true))
	}
	w.do("POST", "/v1/audio/transcriptions", "--XX--\r\n", "Content-Type", "multipart/form-data; boundary=XX").want(t, 400, `"param":"model"`)
	w.do("POST", "/v1/audio/transcriptions", "x", "Content-Type", "multipart/form-data").want(t, 400, "boundary")
}

func TestUploadsAreStreamed(t *testing.T) {
	w := newWorld(t)
	got := make(chan int64, 1)
	first := make(chan struct{})
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 1))
		close(first)
		n, _ := io.Copy(io.Discard, r.Body)
		got <- n + 1
		io.WriteString(rw, "{}")
	})
	const size = 64 << 20
	reader, writer := io.Pipe()
	go func() {
		chunk := make([]byte, 1<<20)
		writer.Write(chunk)
		<-first // the upstream gets the start before the rest exists
		for range size>>20 - 1 {
			writer.Write(chunk)
		}
		writer.Close()
	}()
	req := w.request("POST", "/v1/files", "")
	req.Body, req.ContentLength = reader, -1
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	resp, err := noRedirects.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if n := <-got; n != size || resp.StatusCode != 200 {
		t.Errorf("upstream got %d bytes, status %d", n, resp.StatusCode)
	}
}

func TestHugeEventsPass(t *testing.T) {
	w := newWorld(t)
	huge := "data: {\"x\":\"" + strings.Repeat("y", 20<<20) + "\"}\n\n"
	end := "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3}}\n\ndata: [DONE]\n\n"
	die := false
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		send := events(rw)
		if die {
			send(huge[:12<<20])
			panic(http.ErrAbortHandler)
		}
		send(huge)
		send(end)
	})
	if a := w.do("POST", "/v1/chat/completions", streamBody); a.body != huge+end {
		t.Errorf("got %d bytes of %d", len(a.body), len(huge+end))
	}
	if u := w.gw.Usage()[0]; u.InputTokens != 3 {
		t.Errorf("usage %+v", u)
	}
	die = true
	if a := w.do("POST", "/v1/chat/completions", streamBody); !strings.Contains(a.body, "y\n\ndata: {\"error\"") && !strings.HasPrefix(a.body, "data: {\"error\"") {
		t.Errorf("a broken huge event: %d bytes, ending in %q", len(a.body), a.body[max(0, len(a.body)-200):])
	}
}

// TestCallersOtherCredentials covers other credentials in a request, a stream that ends in
// the middle of a line, and a response that is not HTTP, which the log quotes.
func TestCallersOtherCredentials(t *testing.T) {
	w := newWorld(t)
	var header http.Header
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		header = r.Header
		rw.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(rw, "data: {}\n\ndata: [DONE]\n\n: was asked with "+canary)
	})
	a := w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o","stream":true}`, "X-Api-Key", "mine", "X-Goog-Api-Key", "mine", "Api-Key", "mine")
	if strings.Contains(a.body, canary) || !strings.Contains(a.body, "[DONE]") {
		t.Errorf("stream: %q", a.body)
	}
	for _, name := range []string{"X-Api-Key", "X-Goog-Api-Key", "Api-Key"} {
		if header.Get(name) != "" {
			t.Errorf("%s was sent upstream", name)
		}
	}
	w.upstream("groq", func(rw http.ResponseWriter, r *http.Request) {
		c, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "HTTP/1.1 "+canary+" OK\r\n\r\n")
		c.Close()
	})
	if a := w.do("POST", "/v1/chat/completions", `{"model":"groq/x"}`); a.status != 502 || strings.Contains(a.body, canary) {
		t.Errorf("not HTTP: %d %s", a.status, a.body)
	}
	if log := w.log.String(); !strings.Contains(log, "[redacted]") { // newWorld searches for the key itself
		t.Errorf("the cause is not in the log:\n%s", log)
	}
}
