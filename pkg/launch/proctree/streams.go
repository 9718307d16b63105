//go:build unix

package proctree

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	relayBuffer = 32 << 10
	fileTail    = 64 << 10 // of a file, in which its last lines are looked for
	// relayAfter bounds what is still taken from a pipe whose tree has ended: it
	// is more than any pipe holds.
	relayAfter = 2 << 20
	// lastLook is how long a pipe that somebody outside the tree holds open is
	// read when the tree has ended. What the tree wrote is in it by then.
	lastLook = 50 * time.Millisecond
)

// streams are the command's standard output and error as its guard sees them:
// the guard's own, with the last lines kept for the page that tells how the run
// ended.
//
// A terminal the command has itself, so that it is one, and nothing is kept. A
// file it has itself too: it may ask for its kind, its size or its end, and the
// lines are read from it afterwards. In the place of a pipe, a socket or
// /dev/null it gets a pipe, whose bytes the guard passes on as they come. Two
// streams that are one stay one, so that the order of what is written does.
type streams struct {
	files     [3]uintptr // the command's
	kept      lastLines
	relays    []*relay
	fileMarks []fileMark
	all       sync.WaitGroup
	over      chan struct{} // closed when all relays have ended
}

// openStreams prepares descriptors 1 and 2 for a command. With a label both are
// one stream, whose lines begin with it. Where a pipe cannot be had the command
// gets the stream itself.
func openStreams(label string) *streams {
	s := &streams{files: [3]uintptr{0, 1, 2}, over: make(chan struct{})}
	for fd := 1; fd <= 2; fd++ {
		if fd == 2 && (label != "" || sameFile(1, 2)) {
			s.files[2] = s.files[1]
			break
		}
		switch {
		case label != "" || relayed(fd):
			if r := newRelay(fd, label, s.kept.stream()); r != nil {
				s.files[fd] = r.theirs
				s.relays = append(s.relays, r)
			}
		default:
			if mark, ok := markFile(fd); ok {
				s.fileMarks = append(s.fileMarks, mark)
			}
		}
	}
	for _, r := range s.relays {
		s.all.Go(r.run)
	}
	go func() {
		defer close(s.over)
		s.all.Wait()
	}()
	return s
}

// handedOver is called once the command has its streams, or will have none.
func (s *streams) handedOver() {
	for _, r := range s.relays {
		_ = unix.Close(int(r.theirs))
	}
}

// finish is called when the tree has ended; s.over is closed when all that it
// wrote has been passed on.
func (s *streams) finish() {
	for _, r := range s.relays {
		r.finish()
	}
}

// last gives the last lines of both streams.
func (s *streams) last() []string {
	var lines []string
	for _, m := range s.fileMarks {
		lines = append(lines, m.last()...)
	}
	lines = append(lines, s.kept.last()...)
	return bounded(lines)
}

func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino && x.Rdev == y.Rdev
}

// relayed reports whether a stream is one for which a pipe can stand in.
func relayed(fd int) bool {
	var st, null unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return true
	case unix.S_IFSOCK: // packets would lose their bounds
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		return err == nil && kind == unix.SOCK_STREAM
	case unix.S_IFCHR:
		return unix.Stat(os.DevNull, &null) == nil && st.Rdev == null.Rdev
	}
	return false
}

// relay passes on what the command writes to one stream.
type relay struct {
	in     *os.File
	theirs uintptr // the pipe's other end, the command's
	out    int
	write  func([]byte) error
	flush  func()
	kept   *linePart
	watch  bool // out tells when nobody reads it any more
	ended  atomic.Bool
	wake   [2]int // ends the watch
}

// newRelay makes the pipe that stands in for fd, nil where there is none to be had.
func newRelay(fd int, label string, kept *linePart) *relay {
	r := &relay{out: fd, kept: kept, flush: func() {}}
	r.write = func(p []byte) error { return writeAll(fd, p) }
	if label != "" {
		l := &labeller{out: r.write, label: label}
		r.write, r.flush = l.write, l.flush
	}
	var ends [2]int
	if unix.Pipe(ends[:]) != nil {
		return nil
	}
	if unix.Pipe(r.wake[:]) != nil {
		_ = unix.Close(ends[0])
		_ = unix.Close(ends[1])
		return nil
	}
	for _, end := range []int{ends[0], ends[1], r.wake[0], r.wake[1]} {
		unix.CloseOnExec(end)
	}
	// Only the guard's end: the command's blocks, as any program expects.
	_ = unix.SetNonblock(ends[0], true)
	r.in, r.theirs = os.NewFile(uintptr(ends[0]), "output"), uintptr(ends[1])
	r.watch = losesReaders(fd, ends[1])
	return r
}

// losesReaders reports whether a stream that has lost its reader will never
// have another: a pipe, which is of the same file system as ours, or a socket.
// A FIFO may find a new one.
func losesReaders(fd, pipe int) bool {
	var st, own unix.Stat_t
	if unix.Fstat(fd, &st) != nil || unix.Fstat(pipe, &own) != nil {
		return false
	}
	return st.Mode&unix.S_IFMT == unix.S_IFSOCK || st.Mode&unix.S_IFMT == unix.S_IFIFO && st.Dev == own.Dev
}

// run passes on until the pipe has ended. When nobody takes the bytes any more
// it closes the pipe: the command's next write ends as one to the stream
// itself would (SIGPIPE, or EPIPE).
func (r *relay) run() {
	var watching sync.WaitGroup
	if r.watch {
		watching.Go(r.watchReader)
	}
	r.copy()
	r.in.Close()
	_ = unix.Close(r.wake[1])
	watching.Wait()
	_ = unix.Close(r.wake[0])
}

func (r *relay) copy() {
	defer r.flush()
	buf := make([]byte, relayBuffer)
	mayWait, after := true, 0
	for {
		n, err := r.in.Read(buf)
		switch {
		case n > 0:
			r.kept.add(buf[:n])
			if r.write(buf[:n]) != nil {
				return
			}
			mayWait = true
			if r.ended.Load() {
				if after += n; after > relayAfter {
					return
				}
			}
		case errors.Is(err, os.ErrDeadlineExceeded) && mayWait:
			mayWait = false // the time may have passed while a write waited
			_ = r.in.SetReadDeadline(time.Now().Add(lastLook))
		default:
			return
		}
	}
}

// finish has the relay end when the pipe is empty. Else it ends with the last
// process that has the pipe, which need not be of the tree.
func (r *relay) finish() {
	r.ended.Store(true)
	_ = r.in.SetReadDeadline(time.Now().Add(lastLook))
}

// watchReader closes the pipe as soon as nobody reads the stream any more, and
// not one write later.
func (r *relay) watchReader() {
	fds := []unix.PollFd{{Fd: int32(r.out)}, {Fd: int32(r.wake[0]), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR:
		case err != nil || fds[1].Revents != 0 || fds[0].Revents&unix.POLLNVAL != 0:
			return
		case fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			r.in.Close()
			return
		}
	}
}

// writeAll writes to a descriptor that may block, or not.
func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if n > 0 {
			p = p[n:]
		}
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN:
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
		default:
			return err
		}
	}
	return nil
}

// fileMark is where in a file a command's output begins.
type fileMark struct {
	fd    int
	start int64
}

// markFile notes where in a regular file the next byte will be written.
func markFile(fd int) (fileMark, bool) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fileMark{}, false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_APPEND != 0 {
		return fileMark{fd, st.Size}, true
	}
	at, err := unix.Seek(fd, 0, io.SeekCurrent)
	return fileMark{fd, at}, err == nil
}

// last reads the file's last lines, where its owner may read it.
func (m fileMark) last() []string {
	f, err := reopen(m.fd)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	start := m.start
	if info.Size() < start { // emptied meanwhile
		start = 0
	}
	from := max(start, info.Size()-fileTail)
	text, _ := io.ReadAll(io.NewSectionReader(f, from, fileTail))
	if from > start { // in a line, whose beginning is not there
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	var kept lastLines
	kept.stream().add(text)
	return kept.last()
}
