package http1

import (
	"net"
	"testing"
	"time"
)

// TestAppsThatCloseAfterAnAnswer: a request that cannot be sent twice waits to
// see whether an app keeps its connection, until it was seen to.
func TestAppsThatCloseAfterAnAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := pool{maxIdle: 10, idleTimeout: time.Minute}
	kept := func() (u *Conn, app net.Conn) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if app, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); app.Close() })
		u = NewConn(c, Target{})
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
	u.since = time.Now().Add(-closeRaceWindow)
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
}
