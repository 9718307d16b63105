package http1

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestAppsThatCloseAfterAnAnswer: a request that cannot be sent twice waits to
// see whether an app keeps its connection, until it was seen to.
func TestAppsThatCloseAfterAnAnswer(t *testing.T) {
	clock := harness.NewClock()
	p := pool{clock: clock, maxIdle: 10, idleTimeout: time.Hour}
	connect := connector(t)
	kept := func() (u *Conn, app net.Conn) {
		u, app = connect()
		p.put(u)
		u.since = u.since.Add(time.Minute) // as if the answer had only just come, for long
		return u, app
	}
	u, _ := kept()
	if p.get(Target{}, false) != u {
		t.Error("a request that can be sent again waited")
	}
	_, app := kept()
	go app.Close()
	if p.get(Target{}, true) != nil {
		t.Error("a connection was taken that the app closed a moment later")
	}
	u, _ = kept()
	clock.Advance(time.Minute + closeRaceWindow)
	if p.get(Target{}, true) != u {
		t.Error("a connection that has stayed open was not taken")
	}
	p.served()
	if u, _ = kept(); p.get(Target{}, true) != u {
		t.Error("an app that keeps its connections was waited for")
	}
	u, app = kept()
	app.Close()
	for p.get(Target{}, false) != nil { // its end may take a moment to come
		p.put(u)
	}
	if p.keeps.Load() {
		t.Error("an app that closes at once is taken for one that keeps connections")
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
		t.Error("an app that closes after a while is taken for one that keeps no connection")
	}
}

// TestKeptConnectionsEnd: one that is kept for as long as it may be is neither
// taken nor left open.
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
		t.Error("a connection that may still be kept was not taken")
	}
	p.put(u)
	clock.Advance(p.idleTimeout)
	if p.get(Target{}, false) != nil {
		t.Error("a connection was taken that had been kept for too long")
	}
	p.put(later)
	clock.Await(t, sweepEvery)
	clock.Advance(sweepEvery) // it is kept on, and looked at again
	clock.Await(t, sweepEvery)
	clock.Advance(sweepEvery)
	app.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := app.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the app sees %v, not the connection's end", err)
	}
	p.clear(true)
}

// connector gives open connections and the app's ends of them.
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
