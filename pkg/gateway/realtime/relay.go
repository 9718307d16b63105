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

// Relay relays messages between a caller and a provider until one of them closes. It passes
// one message at a time in each direction, so a slow reader slows the sender down. Messages
// that arrive together are sent together. Pings, pongs and close frames are relayed end to
// end.
type Relay struct {
	Caller, Provider *Conn
	Redactor         redact.Redactor // removes the key from the provider's control frames

	// Up is called with each message of the caller, to send it to Provider or to answer it;
	// false ends the relay. Down is called with each message of the provider. The data are
	// valid only during the call.
	Up   func(kind int, data []byte) bool
	Down func(kind int, data []byte) error
	// Lost is called if the provider's connection broke without a close frame while the
	// caller was still connected. It may send the caller an error.
	Lost func()

	first atomic.Int32 // the end that disconnected first, or 0
}

const (
	callerEnd int32 = iota + 1
	providerEnd
)

// CallerLeft reports whether the caller disconnected before the provider. Call it after
// Run.
func (r *Relay) CallerLeft() bool { return r.first.Load() == callerEnd }

// Run relays until both directions have ended, and returns the error of the provider's
// side. The caller of Run must close both connections. Cancelling ctx ends the relay.
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
			timeout = lostTimeout // the caller is not waiting for a reply
		}
		// In case the provider does not reply to the close, or the caller reads nothing.
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
	// The caller's reply to the close ends the other direction; without a reply the
	// connections are closed after a timeout.
	cut := time.AfterFunc(closeTimeout, func() { r.Caller.Close(); r.Provider.Close() })
	<-up
	cut.Stop()
	return err
}

// pumpUp forwards the caller's messages.
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

// pumpDown forwards the provider's messages.
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

// relayClose forwards one end's close frame to the other. otherwise is the status code for
// an end that disconnected without a close frame. The key is masked in the reason without
// changing its length, because a control frame has at most 125 bytes.
func relayClose(to *websocket.Conn, err error, otherwise int, key redact.Redactor) {
	var closed *websocket.CloseError
	message := websocket.FormatCloseMessage(otherwise, "")
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		message = key.Mask(websocket.FormatCloseMessage(closed.Code, closed.Text)) // keeps the length, since the limit is 125 bytes
	} else if errors.Is(err, websocket.ErrReadLimit) {
		message = websocket.FormatCloseMessage(websocket.CloseMessageTooBig, "")
	}
	to.WriteControl(websocket.CloseMessage, message, time.Now().Add(closeTimeout))
}

// passControl forwards the pings and pongs of one end to the other. Close frames are left
// to relayClose.
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
