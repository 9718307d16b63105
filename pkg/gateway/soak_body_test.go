package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLargeBodiesAreGivenBack sends chunked JSON bodies of the largest size, two at the
// same time: their memory must be returned to the system soon after.
func TestLargeBodiesAreGivenBack(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector uses memory of its own") // it runs without the detector, too
	}
	size := int64(64 << 20)
	upstream := newUpstream(t, func(rw http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n != size {
			t.Errorf("%d bytes came", n)
		}
		io.WriteString(rw, `{}`)
	})
	s := startSoak(t, upstream)
	s.do("GET", "/health", nil, 0).Body.Close()
	before := s.memory("VmRSS")
	head, tail := `{"model":"m","input":"`, `"}`
	send := func() {
		text := io.LimitReader(letters{}, size-int64(len(head)+len(tail)))
		resp := s.do("POST", "/v1/embeddings", io.MultiReader(strings.NewReader(head), text, strings.NewReader(tail)), -1)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	send()
	one := s.memory("VmHWM") - before
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(send)
	}
	wait.Wait()
	two := s.memory("VmHWM") - before
	after := int64(0)
	start := time.Now()
	for time.Since(start) < 20*time.Second {
		if after = s.memory("VmRSS") - before; after < 24<<20 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("one body of 64 MiB took up to %d MiB, two %d MiB; %v later %d MiB are left", one>>20, two>>20, time.Since(start).Round(100*time.Millisecond), after>>20)
	if after >= 24<<20 {
		t.Errorf("%d MiB are kept", after>>20)
	}
	if one > 110<<20 || two > 300<<20 {
		t.Errorf("bodies use more memory than their size: one %d MiB, two %d MiB", one>>20, two>>20)
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}
