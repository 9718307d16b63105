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

// What goes over the wire.
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

// role is what a connection of the loop is for.
type role int

const (
	accepting role = iota
	orders         // standard input
	serving        // a proxy's connection, of requests
	echoing        // … of WebSocket messages
	asking         // a connection to the proxy
	upgrading      // … that waits for its 101
	talking        // … of WebSocket messages
)

type peer struct {
	fd   int
	role role
	rest []byte // of what came, not yet whole
	sent time.Time
}

// loop is the driver's one thread: it waits for any connection to be readable, and
// writes what comes next. A write is never more than a kilobyte, so it never blocks.
type loop struct {
	poll    int
	peers   map[int]*peer
	orders  *json.Decoder
	buf     []byte
	order   *order           // that is being carried out
	proxy   syscall.Sockaddr // that it is for
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
				continue // closed since
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

// take reads an order and begins it.
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

// ask connects to the proxy and sends the first that it is asked for.
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

// report tells what became of the order and forgets it.
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

// lost ends a connection; that a proxy closes one of its own to the backend is its
// right, that it closes one of ours is not.
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

// consume acts on what is whole in data and says how much that was.
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

// count notes an answer, or that it is none.
func (l *loop) count(p *peer, right bool, data []byte) {
	if !right {
		l.lost(p, fmt.Errorf("not the backend's answer: %.60q", data))
		return
	}
	l.took = append(l.took, time.Since(p.sent))
}

// closes tells whether a message is the last of its connection.
func closes(head []byte) bool {
	return bytes.Contains(head, []byte("onnection: close"))
}

// accept answers a WebSocket's opening; proxies write its header's name as they like.
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
