package proxy

import (
	"net/http"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/apps/routes"
)

// plane is a route table with its handler.
type plane struct {
	*routes.Table
	*Handler
}

// options modify what openPlane creates.
type options struct {
	Config
	Std bool // use net/http's Transport
}

func openPlane(t testing.TB, o options) *plane {
	t.Helper()
	table, warnings, err := routes.New(routes.Config{StdTransport: o.Std, Now: o.Now})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", err, warnings)
	}
	o.Table = table
	if o.URL == nil {
		o.URL = func(host string) string { return "http://" + host + ":48282" }
	}
	h, err := New(o.Config)
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{table, h}
	t.Cleanup(func() { p.Close() })
	return p
}

func newPlane(t testing.TB, change ...func(*Config)) *plane {
	t.Helper()
	o := options{Config: Config{Hold: 200 * time.Millisecond}}
	for _, c := range change {
		c(&o.Config)
	}
	return openPlane(t, o)
}

// Close closes the handler, then the table.
func (p *plane) Close() error {
	p.Handler.Close()
	return p.Table.Close()
}

var _ http.Handler = (*plane)(nil)
