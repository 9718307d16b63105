//go:build linux

package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// The bytes of requests and responses.
var (
	request    = []byte("GET / HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: peers\r\nAccept: */*\r\n\r\n")
	bodyEnd    = []byte("the end of it.")
	answer     = makeAnswer("")
	lastAnswer = makeAnswer("Connection: close\r\n")
	upgrade    = []byte("GET /ws HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	frameUp   = []byte("\x81\x85\x00\x00\x00\x00hello") // masked with zeros
	frameDown = []byte("\x81\x05hello")
)

func makeAnswer(extra string) []byte {
	body := strings.Repeat("hello, world. ", 8) + string(bodyEnd)
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: peers\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n%sContent-Length: %d\r\n\r\n%s", extra, len(body), body)
}

// role is the purpose of a connection in the loop.
type role int

const (
	accepting role = iota
	orders         // standard input
	serving        // connection from a proxy, for requests
	echoing        // … for WebSocket messages
	asking         // connection to the proxy, for requests
	upgrading      // … waiting for a 101
	talking        // … for WebSocket messages
)

type peer struct {
	fd   int
	role role
	rest []byte // received but incomplete
	sent time.Time
}

// loop is the driver's only thread. It waits until a connection is readable and writes
// what comes next. A write has at most one kilobyte, so it never blocks.
type loop struct {
	poll    int
	peers   map[int]*peer
	orders  *json.Decoder
	buf     []byte
	order   *order           // the order in progress
	proxy   syscall.Sockaddr // the proxy of the order
	started time.Time
	took    []time.Duration
	failed  error
}

func drive(addr string) error {
	poll, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	l := &loop{poll: poll, peers: map[int]*peer{}, orders: json.NewDecoder(os.Stdin), buf: make([]byte, 64<<10)}
	at, err := sockaddr(addr)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err == nil {
		err = errors.Join(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), syscall.Bind(fd, at), syscall.Listen(fd, syscall.SOMAXCONN))
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	l.add(fd, accepting)
	l.add(0, orders)
	events := make([]syscall.EpollEvent, 512)
	for {
		wait := -1
		if l.order != nil {
			left := l.order.Each - time.Since(l.started)
			if left <= 0 || l.failed != nil {
				l.report()
				continue
			}
			wait = int(left.Milliseconds()) + 1
		}
		n, err := syscall.EpollWait(poll, events, wait)
		if err != nil && err != syscall.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			p := l.peers[int(e.Fd)]
			if p == nil {
				continue // closed in the meantime
			}
			if p.role == orders {
				if err := l.take(); err != nil {
					return ignoreEOF(err)
				}
				continue
			}
			l.readable(p)
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (l *loop) add(fd int, r role) *peer {
	p := &peer{fd: fd, role: r}
	l.peers[fd] = p
	syscall.EpollCtl(l.poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
	return p
}

func (l *loop) drop(p *peer) {
	delete(l.peers, p.fd)
	syscall.Close(p.fd)
}

// take reads an order and starts it.
func (l *loop) take() error {
	var o order
	if err := l.orders.Decode(&o); err != nil {
		return err
	}
	l.order, l.took, l.failed = &o, l.took[:0], nil
	var err error
	if l.proxy, err = sockaddr(o.Addr); err != nil {
		return err
	}
	l.started = time.Now()
	for range o.Connections {
		if o.Sockets {
			l.ask(upgrading, upgrade)
		} else {
			l.ask(asking, request)
		}
	}
	return nil
}

func sockaddr(addr string) (syscall.Sockaddr, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	return &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}, nil
}

// ask connects to the proxy and sends the first request.
func (l *loop) ask(r role, first []byte) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Connect(fd, l.proxy)
	}
	if err != nil {
		l.failed = fmt.Errorf("connect: %w", err)
		return
	}
	noDelay(fd)
	l.send(l.add(fd, r), first)
}

func noDelay(fd int) {
	syscall.SetNonblock(fd, true)
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
}

// report writes the outcome of the order and clears it.
func (l *loop) report() {
	out := made(l.started, l.took)
	if l.failed != nil {
		out.Failed = l.failed.Error()
	}
	for _, p := range l.peers {
		if p.role >= asking {
			l.drop(p)
		}
	}
	l.order = nil
	json.NewEncoder(os.Stdout).Encode(out)
}

func (l *loop) send(p *peer, data []byte) {
	if p.role >= asking {
		p.sent = time.Now()
	}
	if n, err := syscall.Write(p.fd, data); err != nil || n < len(data) {
		l.lost(p, fmt.Errorf("wrote %d of %d bytes: %w", n, len(data), err))
	}
}

// lost handles the end of a connection. A proxy may close its own connections to the
// backend, but not ours.
func (l *loop) lost(p *peer, err error) {
	if p.role >= asking && l.failed == nil {
		l.failed = err
	}
	l.drop(p)
}

func (l *loop) readable(p *peer) {
	if p.role == accepting {
		for {
			fd, _, err := syscall.Accept4(p.fd, syscall.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			noDelay(fd)
			l.add(fd, serving)
		}
	}
	n, err := syscall.Read(p.fd, l.buf)
	if err == syscall.EAGAIN {
		return
	}
	if err != nil || n == 0 {
		l.lost(p, fmt.Errorf("the proxy closed a connection: %w", errors.Join(err, io.ErrUnexpectedEOF)))
		return
	}
	data := l.buf[:n]
	if len(p.rest) > 0 {
		p.rest = append(p.rest, data...)
		data = p.rest
	}
	used := l.consume(p, data)
	p.rest = append(p.rest[:0], data[used:]...)
}

// consume processes the complete messages in data and returns their length.
func (l *loop) consume(p *peer, data []byte) (used int) {
	switch p.role {
	case serving:
		for {
			end := bytes.Index(data[used:], []byte("\r\n\r\n"))
			if end < 0 {
				return used
			}
			head := data[used : used+end+4]
			used += len(head)
			if bytes.HasPrefix(head, []byte("GET /ws ")) {
				p.role = echoing
				l.send(p, accept(head))
				return used
			}
			if closes(head) {
				l.send(p, lastAnswer)
				syscall.Shutdown(p.fd, syscall.SHUT_WR)
				continue
			}
			l.send(p, answer)
		}
	case echoing:
		for ; len(data)-used >= len(frameUp); used += len(frameUp) {
			l.send(p, frameDown)
		}
		return used
	case asking:
		right := bytes.HasPrefix(data, []byte("HTTP/1.1 200"))
		if right && !bytes.HasSuffix(data, bodyEnd) {
			return 0
		}
		if l.count(p, right, data); right && closes(data) {
			l.drop(p)
			l.ask(asking, request)
		} else if right {
			l.send(p, request)
		}
	case upgrading:
		if !bytes.HasSuffix(data, []byte("\r\n\r\n")) {
			return 0
		}
		p.role = talking
		if !bytes.HasPrefix(data, []byte("HTTP/1.1 101")) {
			l.lost(p, fmt.Errorf("no upgrade: %.200q", data))
			return len(data)
		}
		l.send(p, frameUp)
	case talking:
		if len(data) < len(frameDown) {
			return 0
		}
		right := bytes.Equal(data, frameDown)
		if l.count(p, right, data); right {
			l.send(p, frameUp)
		}
	}
	return len(data)
}

// count records a correct answer, or an error.
func (l *loop) count(p *peer, right bool, data []byte) {
	if !right {
		l.lost(p, fmt.Errorf("not the backend's answer: %.60q", data))
		return
	}
	l.took = append(l.took, time.Since(p.sent))
}

// closes reports whether a message is the last one on its connection.
func closes(head []byte) bool {
	return bytes.Contains(head, []byte("onnection: close"))
}

// accept returns the response to a WebSocket handshake. Proxies spell the name of the
// key's header differently.
func accept(head []byte) []byte {
	var key string
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Sec-WebSocket-Key") {
			key = strings.TrimSpace(value)
		}
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
}
