package http1

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestAppsThatCloseAfterAnAnswer: before a request that cannot be sent twice, get waits
// to see whether the app closes the connection, until the app was seen to reuse one.
func TestAppsThatCloseAfterAnAnswer(t *testing.T) {
	clock := harness.NewClock()
	p := pool{clock: clock, maxIdle: 10, idleTimeout: time.Hour}
	connect := connector(t)
	kept := func() (u *Conn, app net.Conn) {
		u, app = connect()
		p.put(u)
		u.since = u.since.Add(time.Minute) // the response was only just read
		return u, app
	}
	u, _ := kept()
	if p.get(Target{}, false) != u {
		t.Error("a repeatable request waited")
	}
	_, app := kept()
	go app.Close()
	if p.get(Target{}, true) != nil {
		t.Error("got a connection that the app closed a moment later")
	}
	u, _ = kept()
	clock.Advance(time.Minute + closeRaceWindow)
	if p.get(Target{}, true) != u {
		t.Error("a connection that stayed open was not used")
	}
	p.served()
	if u, _ = kept(); p.get(Target{}, true) != u {
		t.Error("waited for an app that is known to reuse connections")
	}
	u, app = kept()
	app.Close()
	for p.get(Target{}, false) != nil { // the close may take a moment to arrive
		p.put(u)
	}
	if p.keeps.Load() {
		t.Error("an app that closes at once counts as one that reuses connections")
	}
	p.served()
	u, app = kept()
	clock.Advance(time.Minute + minKeepAlive)
	app.Close()
	for p.get(Target{}, false) != nil {
		p.put(u)
		clock.Advance(minKeepAlive)
	}
	if !p.keeps.Load() {
		t.Error("an app that closes after a while counts as one that reuses none")
	}
}

// TestKeptConnectionsEnd: an expired connection is neither used nor left open.
func TestKeptConnectionsEnd(t *testing.T) {
	clock := harness.NewClock()
	p := pool{clock: clock, maxIdle: 10, idleTimeout: 3 * sweepEvery / 2}
	connect := connector(t)
	u, _ := connect()
	p.put(u)
	later, app := connect()
	clock.Await(t, sweepEvery)
	clock.Advance(p.idleTimeout - 1)
	if p.get(Target{}, false) != u {
		t.Error("a connection that has not expired was not used")
	}
	p.put(u)
	clock.Advance(p.idleTimeout)
	if p.get(Target{}, false) != nil {
		t.Error("an expired connection was used")
	}
	p.put(later)
	clock.Await(t, sweepEvery)
	clock.Advance(sweepEvery) // it is put back, and checked again
	clock.Await(t, sweepEvery)
	clock.Advance(sweepEvery)
	app.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := app.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the app sees %v, not the connection's end", err)
	}
	p.clear(true)
}

// connector returns a function that opens connections and returns both ends.
func connector(t *testing.T) func() (u *Conn, app net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func() (*Conn, net.Conn) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		app, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); app.Close() })
		return NewConn(c, Target{}), app
	}
}
