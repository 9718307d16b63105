// Package bench measures the built binaries from outside: the duration of a start and the
// cost of an idle daemon. pkg/gateway and pkg/front measure the cost of a request,
// compared with a direct call and a plain ReverseProxy.
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

// resident returns a process's resident memory in bytes, 0 if /proc does not have it.
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

// BenchmarkColdStart measures the time from exec to the first response of /health, in an
// empty home.
func BenchmarkColdStart(b *testing.B) {
	harness.Bin(b) // builds the binaries
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

// BenchmarkCommand measures `hostless list` with a running daemon, from exec to exit.
func BenchmarkCommand(b *testing.B) {
	d := harness.Start(b)
	d.Must("list")
	b.ResetTimer()
	for range b.N {
		d.Must("list")
	}
}

// BenchmarkHealth measures a request on a kept-alive connection, which is the minimum
// cost of any request.
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
