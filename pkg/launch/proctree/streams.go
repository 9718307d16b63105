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
	fileTail    = 64 << 10 // bytes at the end of a file that are searched for its last lines
	// relayAfter limits what is read from a pipe after its tree has ended, in bytes. It is
	// more than any pipe holds.
	relayAfter = 2 << 20
	// lastRead is how long a pipe that a process outside the tree holds open is still read
	// when the tree has ended. By then it contains everything that the tree wrote.
	lastRead = 50 * time.Millisecond
)

// streams are the command's standard output and error. They lead to the guard's own, and
// their last lines are kept for the page that shows how the run ended.
//
// A terminal is passed to the command itself, and none of its output is kept. A file is
// also passed to the command itself, which may need its type, size or offset; its last
// lines are read from it afterwards. In place of a pipe, a socket or /dev/null the command
// gets a pipe, whose bytes the guard forwards. If both streams are the same one, the
// command gets one stream too, so that the order of the output is kept.
type streams struct {
	files     [3]uintptr // the command's
	kept      lastLines
	relays    []*relay
	fileMarks []fileMark
	all       sync.WaitGroup
	over      chan struct{} // closed when all relays have ended
}

// openStreams prepares file descriptors 1 and 2 for a command. With a label both are one
// stream, whose lines begin with the label. If a pipe cannot be created the command gets
// the stream itself.
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

// handedOver must be called when the command has its streams, or could not be started.
func (s *streams) handedOver() {
	for _, r := range s.relays {
		_ = unix.Close(int(r.theirs))
	}
}

// finish must be called when the tree has ended. s.over is closed when its whole output
// has been forwarded.
func (s *streams) finish() {
	for _, r := range s.relays {
		r.finish()
	}
}

// last returns the last lines of both streams.
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

// relayed reports whether a pipe can replace a stream.
func relayed(fd int) bool {
	var st, null unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return true
	case unix.S_IFSOCK: // packets would lose their boundaries
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		return err == nil && kind == unix.SOCK_STREAM
	case unix.S_IFCHR:
		return unix.Stat(os.DevNull, &null) == nil && st.Rdev == null.Rdev
	}
	return false
}

// relay forwards what the command writes to one stream.
type relay struct {
	in     *os.File
	theirs uintptr // the command's end of the pipe
	out    int
	write  func([]byte) error
	flush  func()
	kept   *linePart
	watch  bool // the loss of out's reader can be detected
	ended  atomic.Bool
	wake   [2]int // ends the watch
}

// newRelay returns a relay with the pipe that replaces fd, nil if it cannot be created.
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
	// Only the guard's end: the command expects a blocking one.
	_ = unix.SetNonblock(ends[0], true)
	r.in, r.theirs = os.NewFile(uintptr(ends[0]), "output"), uintptr(ends[1])
	r.watch = losesReaders(fd, ends[1])
	return r
}

// losesReaders reports whether a stream that has lost its reader cannot get a new one.
// That holds for a socket and for a pipe, which is on the same file system as pipe, but
// not for a FIFO.
func losesReaders(fd, pipe int) bool {
	var st, own unix.Stat_t
	if unix.Fstat(fd, &st) != nil || unix.Fstat(pipe, &own) != nil {
		return false
	}
	return st.Mode&unix.S_IFMT == unix.S_IFSOCK || st.Mode&unix.S_IFMT == unix.S_IFIFO && st.Dev == own.Dev
}

// run forwards until the pipe ends. When the stream has lost its reader it closes the
// pipe, so that the command's next write fails as one to the stream itself would (SIGPIPE
// or EPIPE).
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
			mayWait = false // a write may have blocked past the deadline
			_ = r.in.SetReadDeadline(time.Now().Add(lastRead))
		default:
			return
		}
	}
}

// finish makes the relay end when the pipe is empty. Otherwise it ends when the last
// process closes the pipe, which may be one outside the tree.
func (r *relay) finish() {
	r.ended.Store(true)
	_ = r.in.SetReadDeadline(time.Now().Add(lastRead))
}

// watchReader closes the pipe as soon as the stream loses its reader, without waiting for
// the next write to fail.
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

// writeAll writes all of p to a blocking or non-blocking descriptor.
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

// fileMark is the position in a file at which a command's output begins.
type fileMark struct {
	fd    int
	start int64
}

// markFile records the position in a regular file at which the next byte is written.
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

// last returns the file's last lines, if this process can read it.
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
	if info.Size() < start { // the file was truncated
		start = 0
	}
	from := max(start, info.Size()-fileTail)
	text, _ := io.ReadAll(io.NewSectionReader(f, from, fileTail))
	if from > start { // drop the first line, which is incomplete
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	var kept lastLines
	kept.stream().add(text)
	return kept.last()
}
