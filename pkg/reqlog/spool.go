package reqlog

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/hostless/hostless/pkg/config"
)

// A spool holds the rows that are not in a segment yet, so that they survive a kill of the
// process: it is a file mapped into memory, whose pages belong to the kernel. Adding a row
// copies it without a system call, so that many rows can be written to the segments at a
// time. The next process finds the rows that were left (recoverSpools).
//
// The file has two halves: one takes rows while those of the other one are written. A half
// consists of a head and lines. The head is the number of valid bytes of lines, and a serial
// number that increases with each use of a half, 8 bytes each in the machine's byte order.
type spool struct {
	file   *os.File // locked (flock) as long as its process lives
	memory []byte
	active int      // the half that takes rows
	used   [2]int64 // bytes of lines in each
	serial uint64
	broken bool

	// warmUntil is the time since epoch after which touch must be called before a row may be
	// added.
	warmUntil atomic.Int64
	epoch     time.Time
}

const (
	spoolDir  = "spool" // below the directory of the segments
	spoolHalf = 512 << 10
	spoolHead = 16
	spoolWarm = time.Second // how long rows may be added after touch
	pageSize  = 4 << 10     // the smallest one of all supported machines
)

// newSpool creates a spool in an existing directory. If the disk is almost full, it fails
// with ENOSPC, to leave the space to the segments.
func newSpool(dir string) (*spool, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return nil, err
	}
	if uint64(disk.Bavail)*uint64(disk.Bsize) < 8*spoolHalf {
		return nil, syscall.ENOSPC
	}
	for range 3 {
		path := filepath.Join(dir, strings.ToLower(rand.Text()[:12]))
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		s, err := mapSpool(f)
		if err == nil {
			return s, nil
		}
		f.Close()
		if !errors.Is(err, errTaken) {
			os.Remove(path)
			return nil, err
		}
	}
	return nil, errTaken
}

// errTaken means that another process has removed a new spool, taking it for an abandoned
// one.
var errTaken = errors.New("the file was removed by another process")

// mapSpool locks the file of a new spool, allocates its space and maps it into memory.
func mapSpool(f *os.File) (*spool, error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errTaken
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Sys().(*syscall.Stat_t).Nlink == 0 {
		return nil, errTaken
	}
	// Write zeros instead of extending the file: the space must be there when the disk is full.
	if _, err := f.WriteAt(make([]byte, 2*spoolHalf), 0); err != nil {
		return nil, err
	}
	memory, err := syscall.Mmap(int(f.Fd()), 0, 2*spoolHalf, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return &spool{file: f, memory: memory, epoch: time.Now()}, nil
}

func (s *spool) head(half, word int) *uint64 {
	return (*uint64)(unsafe.Pointer(&s.memory[half*spoolHalf+8*word]))
}

// keep adds lines, and reports whether they are in the spool. The journal's mu must be held.
func (s *spool) keep(lines []byte, now time.Time) (kept bool) {
	if s == nil || s.broken || int64(now.Sub(s.epoch)) > s.warmUntil.Load() {
		return false
	}
	at := s.used[s.active]
	if spoolHead+at+int64(len(lines)) > spoolHalf {
		return false
	}
	// A page that cannot be written is a fault, not an error: on a full copy-on-write file
	// system, or if the file was truncated.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			s.broken, kept = true, false
		}
	}()
	copy(s.memory[int64(s.active)*spoolHalf+spoolHead+at:], lines)
	if at == 0 {
		s.serial++
		atomic.StoreUint64(s.head(s.active, 1), s.serial)
	}
	s.used[s.active] = at + int64(len(lines))
	atomic.StoreUint64(s.head(s.active, 0), uint64(s.used[s.active]))
	return true
}

// swap makes the other, empty half the active one. The journal's mu must be held.
func (s *spool) swap() {
	if s != nil {
		s.active = 1 - s.active
	}
}

// clear empties the half that is not active, after its rows were written. It is for the
// writer only.
func (s *spool) clear() {
	s.guarded(func() {
		half := 1 - s.active
		if s.used[half] > 0 {
			s.used[half] = 0
			atomic.StoreUint64(s.head(half, 0), 0)
		}
	})
}

// touch writes to all pages, so that requests can write to them without blocking: the first
// write to a page after the kernel has written it back may block on the disk. It is for the
// writer only, which may block.
func (s *spool) touch() {
	if s == nil || time.Duration(s.warmUntil.Load())-time.Since(s.epoch) > spoolWarm*3/4 {
		return // they were touched lately
	}
	s.guarded(func() {
		for at := 0; at < len(s.memory); at += pageSize {
			atomic.AddUint32((*uint32)(unsafe.Pointer(&s.memory[at])), 0) // adding 0 keeps what a request writes at the same time
		}
		s.warmUntil.Store(int64(time.Since(s.epoch) + spoolWarm))
	})
}

// guarded calls a function that writes to the pages. After a fault the spool takes no rows
// until a later touch succeeds.
func (s *spool) guarded(write func()) {
	if s == nil {
		return
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			s.warmUntil.Store(-1)
		}
	}()
	write()
}

// close removes the spool, whose rows must have been written.
func (s *spool) close() {
	if s == nil {
		return
	}
	os.Remove(s.file.Name())
	syscall.Munmap(s.memory)
	s.file.Close()
}

// recoverSpools moves the rows that killed processes have left in their spools to the
// segments. It skips the spools of running processes.
func recoverSpools(to *segments) error {
	left, err := filepath.Glob(filepath.Join(to.dir, spoolDir, "*"))
	if err != nil || len(left) == 0 {
		return err
	}
	defer to.close()
	for _, path := range left {
		if err := recoverSpool(path, to); err != nil {
			return fmt.Errorf("recover rows of %s: %w", path, err)
		}
	}
	return nil
}

func recoverSpool(path string, to *segments) error {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil // its process is running
	}
	data, err := io.ReadAll(io.LimitReader(f, 2*spoolHalf))
	if err != nil {
		return err
	}
	lines, err := missing(spooled(data), to.dir)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if _, err := to.append(l.day, l.text); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

// spooled returns the lines of a spool, in the order in which they were added.
func spooled(data []byte) (lines [][]byte) {
	if len(data) != 2*spoolHalf {
		return nil // its process was killed while creating it
	}
	halves := [][]byte{data[:spoolHalf], data[spoolHalf:]}
	if binary.NativeEndian.Uint64(halves[0][8:]) > binary.NativeEndian.Uint64(halves[1][8:]) {
		halves[0], halves[1] = halves[1], halves[0]
	}
	for _, half := range halves {
		n := min(binary.NativeEndian.Uint64(half), spoolHalf-spoolHead)
		for line := range bytes.Lines(half[spoolHead : spoolHead+n]) {
			lines = append(lines, line)
		}
	}
	return lines
}

// leftLine is a line of a spool.
type leftLine struct {
	id, day string
	text    []byte
}

// missing returns the lines that are in no segment. The lines of the last write before a
// kill may be in a segment and in the spool.
func missing(lines [][]byte, dir string) (out []leftLine, err error) {
	days, ids := map[string]bool{}, map[string]bool{}
	for _, line := range lines {
		id, when, ok := identify(line)
		if ok && !ids[id] {
			out = append(out, leftLine{id, day(when), line})
			days[day(when)], ids[id] = true, true
		}
	}
	all, err := list(dir)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	written := map[string]bool{}
	for _, name := range all {
		if !days[name.day] {
			continue
		}
		_, err := scanFile(filepath.Join(dir, name.file()), 0, func(line []byte) {
			if id, ok := idOf(line); ok && ids[id] {
				written[id] = true
			}
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	kept := out[:0]
	for _, l := range out {
		if !written[l.id] {
			kept = append(kept, l)
		}
	}
	return kept, nil
}

// idOf returns the id of a line, which is its first member and has no escapes.
func idOf(line []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"id":"`))
	if !ok {
		return "", false
	}
	id, _, ok := bytes.Cut(rest, []byte{'"'})
	return string(id), ok
}

// identify returns the id and the time of a complete line.
func identify(line []byte) (id string, when time.Time, ok bool) {
	var r struct {
		ID   string
		Time time.Time
	}
	if !bytes.HasSuffix(line, []byte{'\n'}) || json.Unmarshal(line, &r) != nil || r.ID == "" {
		return "", when, false
	}
	return r.ID, r.Time, true
}

// openSpool creates a spool, and its directory if needed.
func openSpool(dir string) (*spool, error) {
	dir = filepath.Join(dir, spoolDir)
	if err := config.EnsureDir(dir); err != nil {
		return nil, err
	}
	return newSpool(dir)
}
