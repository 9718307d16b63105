// Package bench measures the built binaries from outside: how long a start
// takes, what an idle daemon costs. What a request costs is measured in
// pkg/gateway and pkg/front, against a direct call and a bare ReverseProxy.
package bench

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// resident gives a process's resident memory in bytes, 0 where /proc does not
// tell.
func resident(pid int) float64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages * os.Getpagesize())
}

// BenchmarkColdStart: from exec to the first answer of /health, in an empty home.
func BenchmarkColdStart(b *testing.B) {
	harness.Bin(b) // which builds them
	rss := 0.0
	b.ResetTimer()
	for range b.N {
		d := harness.Start(b)
		b.StopTimer()
		rss += resident(d.PID())
		d.Stop()
		b.StartTimer()
	}
	b.ReportMetric(rss/float64(b.N)/(1<<20), "idle-MiB")
}

// BenchmarkCommand: `hostless list` against a running daemon, from exec to exit.
func BenchmarkCommand(b *testing.B) {
	d := harness.Start(b)
	d.Must("list")
	b.ResetTimer()
	for range b.N {
		d.Must("list")
	}
}

// BenchmarkHealth: one request on a connection that is kept alive, the floor of
// what anything on the port can cost.
func BenchmarkHealth(b *testing.B) {
	d := harness.Start(b)
	client := &http.Client{}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		resp, err := client.Get(d.URL + "/health")
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
