package requests_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestKillUnderLoad: a kill under load loses no row of a request whose client has received
// the complete response, and duplicates none.
func TestKillUnderLoad(t *testing.T) {
	home := harness.Home(t)
	w := &world{Daemon: harness.StartIn(t, home, "--token-persistence", "file"), t: t}
	s := reporting(t)
	w.provider("openai", s.URL+"/v1")
	w.token = w.mint("--name", "tests")
	const clients = 8
	var serial atomic.Int64
	answered := map[int64]bool{} // by the number of input tokens, which is unique
	for round := range 4 {
		var (
			mu    sync.Mutex
			group sync.WaitGroup
			dead  atomic.Bool
			n     atomic.Int64
		)
		enough := make(chan struct{})
		for range clients {
			group.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for !dead.Load() {
					id := 1000 + serial.Add(1)
					body := use("gpt-5", "/v1/responses", id%2 == 0, int(id), 0, 0, 0, 1)
					req, err := http.NewRequest("POST", w.URL+"/v1/responses", strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					req.Header.Set("Authorization", "Bearer "+w.token)
					req.Header.Set("Content-Type", "application/json")
					if err := finish(client, req, 200); err != nil {
						return // the kill
					}
					mu.Lock()
					answered[id] = true
					mu.Unlock()
					if n.Add(1) == int64(200+round*73) {
						close(enough)
					}
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(time.Minute):
			t.Fatalf("%d answers in a minute", n.Load())
		}
		w.Kill()
		dead.Store(true)
		group.Wait()
		w.Daemon = harness.StartIn(t, home, "--token-persistence", "file")
		rows := map[int64]int{}
		for _, r := range w.rows("n=10000") {
			if r.ErrorKind == "" {
				rows[r.Tokens.Input]++
			}
		}
		lost := 0
		for id := range answered {
			if rows[id] == 0 {
				lost++
			}
		}
		for id, n := range rows {
			if n > 1 {
				t.Errorf("round %d: %d rows of request %d", round, n, id)
			}
		}
		if lost > 0 {
			t.Errorf("round %d: %d of %d answered requests have no row", round, lost, len(answered))
		}
	}
	w.Stop()
}
