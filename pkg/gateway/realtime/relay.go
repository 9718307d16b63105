package realtime

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/redact"
)

// Relay passes messages between a caller and a provider until one of them closes:
// one message at a time each way, so that a slow reader slows its writer down.
// Messages that arrive together leave together. Pings, pongs and close codes are the
// ends' own.
type Relay struct {
	Caller, Provider *Conn
	Redactor         redact.Redactor // takes the key out of the provider's control frames

	// Up is given each message of the caller, to send it to Provider or to answer it;
	// false ends the relay. Down is given each of the provider. The data hold only
	// during the call.
	Up   func(kind int, data []byte) bool
	Down func(kind int, data []byte) error
	// Lost is called where the provider's connection broke without a close while the
	// caller was still connected: it can still be sent an error.
	Lost func()

	first atomic.Int32 // the end that disconnected first
}

const (
	callerEnd int32 = iota + 1
	providerEnd
)

// CallerLeft reports, after Run, whether the caller disconnected before the provider.
func (r *Relay) CallerLeft() bool { return r.first.Load() == callerEnd }

// Run relays until both directions have ended, and gives why the provider's did. It
// closes neither connection for good; ctx ends both.
func (r *Relay) Run(ctx context.Context) error {
	passControl(r.Caller.ws, r.Provider.ws, redact.Redactor{})
	passControl(r.Provider.ws, r.Caller.ws, r.Redactor)
	r.Caller.batch.FlushBefore(r.Provider.batch)
	r.Provider.batch.FlushBefore(r.Caller.batch)
	stop := context.AfterFunc(ctx, func() { r.Caller.End(ctx); r.Provider.Close() })
	defer stop()
	up, down := make(chan struct{}), make(chan struct{}) // closed when that direction has ended
	defer close(down)
	go func() {
		err := r.pumpUp()
		r.first.CompareAndSwap(0, callerEnd)
		relayClose(r.Provider.ws, err, websocket.CloseGoingAway, redact.Redactor{})
		timeout := closeTimeout
		if !isClose(err) {
			timeout = lostTimeout // nobody waits for the answer
		}
		// A provider that does not answer the close, and a caller that reads no answer.
		cut := time.AfterFunc(timeout, func() { r.Provider.Close(); r.Caller.Close() })
		defer cut.Stop()
		close(up)
		<-down
	}()
	err := r.pumpDown()
	r.first.CompareAndSwap(0, providerEnd)
	if !isClose(err) && ctx.Err() == nil {
		select {
		case <-up: // the caller disconnected first
		default:
			r.Lost()
		}
	}
	relayClose(r.Caller.ws, err, websocket.CloseInternalServerErr, r.Redactor)
	// The caller's answer to the close ends the other direction; one that gives none
	// is cut off.
	cut := time.AfterFunc(closeTimeout, func() { r.Caller.Close(); r.Provider.Close() })
	<-up
	cut.Stop()
	return err
}

// pumpUp passes the caller's messages up.
func (r *Relay) pumpUp() error {
	defer r.Provider.batch.Flush()
	for {
		kind, data, err := r.Caller.Read()
		if err != nil {
			return err
		}
		r.Provider.batch.Hold()
		if !r.Up(kind, data) {
			return io.ErrClosedPipe
		}
	}
}

// pumpDown passes the provider's messages down.
func (r *Relay) pumpDown() error {
	defer r.Caller.batch.Flush()
	for {
		kind, data, err := r.Provider.Read()
		if err != nil {
			return err
		}
		r.Caller.batch.Hold()
		if err := r.Down(kind, data); err != nil {
			r.first.CompareAndSwap(0, callerEnd)
			return err
		}
	}
}

func isClose(err error) bool {
	var c *websocket.CloseError
	return errors.As(err, &c) && c.Code != websocket.CloseAbnormalClosure
}

// relayClose forwards one end's close to the other; otherwise is the code for an end
// that disconnected without one. The key is masked in the reason and not shortened: a
// control frame has no more than 125 bytes.
func relayClose(to *websocket.Conn, err error, otherwise int, key redact.Redactor) {
	var closed *websocket.CloseError
	message := websocket.FormatCloseMessage(otherwise, "")
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		message = key.Mask(websocket.FormatCloseMessage(closed.Code, closed.Text)) // it may have no more than 125 bytes
	} else if errors.Is(err, websocket.ErrReadLimit) {
		message = websocket.FormatCloseMessage(websocket.CloseMessageTooBig, "")
	}
	to.WriteControl(websocket.CloseMessage, message, time.Now().Add(closeTimeout))
}

// passControl forwards pings and pongs of one end to the other, and leaves closes to
// relayClose.
func passControl(from, to *websocket.Conn, key redact.Redactor) {
	pass := func(kind int) func(string) error {
		return func(text string) error {
			err := to.WriteControl(kind, key.Mask([]byte(text)), time.Now().Add(closeTimeout))
			if errors.Is(err, websocket.ErrCloseSent) {
				return nil
			}
			return err
		}
	}
	from.SetPingHandler(pass(websocket.PingMessage))
	from.SetPongHandler(pass(websocket.PongMessage))
	from.SetCloseHandler(func(int, string) error { return nil })
}
