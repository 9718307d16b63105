package reqlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/config"
)

// segments are the files of the log: DAY.jsonl and, once that is full, DAY.2.jsonl
// and so on, where DAY is the UTC date of a row's arrival. One goroutine appends.
type segments struct {
	dir         string
	now         func() time.Time
	size, total int64
	age         time.Duration

	file *os.File // the file last written to, or nil
	name segment
	used int64 // its size in bytes
}

// segment identifies a file.
type segment struct {
	day  string
	part int
}

func (s segment) file() string {
	if s.part < 2 {
		return s.day + ".jsonl"
	}
	return s.day + "." + strconv.Itoa(s.part) + ".jsonl"
}

func compareSegments(a, b segment) int {
	if c := strings.Compare(a.day, b.day); c != 0 {
		return c
	}
	return a.part - b.part
}

var segmentName = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)(?:\.(\d{1,6}))?\.jsonl$`)

// list returns the segments of a directory, oldest first. It ignores other files.
func list(dir string) (all []segment, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if m := segmentName.FindStringSubmatch(e.Name()); m != nil && e.Type().IsRegular() {
			part, _ := strconv.Atoi(m[2])
			all = append(all, segment{m[1], max(1, part)})
		}
	}
	slices.SortFunc(all, compareSegments)
	return all, nil
}

// day returns the segment's day of a row.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// appendBatch writes n lines, with one write for the lines of a day and a segment.
// Line i ends at lines[ends[i]] and belongs to the time when(i). written is the number
// of lines, from the first on, that are in a file.
func (s *segments) appendBatch(n int, when func(int) time.Time, lines []byte, ends []int) (written int, err error) {
	start := 0
	for written < n {
		today, end := dayNumber(when(written)), written+1
		for end < n && dayNumber(when(end)) == today && int64(ends[end]-start) <= s.size {
			end++
		}
		done, err := s.append(day(when(written)), lines[start:ends[end-1]])
		if err != nil {
			for written < end && ends[written]-start <= done {
				written++
			}
			return written, err
		}
		written, start = end, ends[end-1]
	}
	return written, nil
}

// dayNumber numbers UTC days.
func dayNumber(t time.Time) int64 {
	const day = 24 * 60 * 60
	return (t.Unix() - (t.Unix()%day+day)%day) / day
}

// append writes whole lines of a day with one write. n is the number of bytes, from
// the first on, that are in the file, also if there is an error. append removes a line
// again that was written in part, if possible.
func (s *segments) append(today string, lines []byte) (n int, err error) {
	if err := s.open(today, int64(len(lines))); err != nil {
		return 0, err
	}
	n, err = s.file.Write(lines)
	s.used += int64(n)
	if err != nil {
		whole := bytes.LastIndexByte(lines[:n], '\n') + 1
		s.cut(int64(n - whole))
		s.close()
		n = whole
	}
	return n, err
}

// cut removes the last n bytes that were written, unless another process has appended
// to the file since.
func (s *segments) cut(n int64) {
	end, err := s.file.Seek(0, io.SeekCurrent)
	info, failed := s.file.Stat()
	if n > 0 && err == nil && failed == nil && info.Size() == end {
		s.file.Truncate(end - n) // otherwise the next write ends the incomplete line
	}
}

// open opens the day's file, with room for more bytes.
func (s *segments) open(today string, more int64) error {
	if s.file != nil && s.name.day == today && (s.used == 0 || s.used+more <= s.size) {
		return nil
	}
	s.close()
	if err := config.EnsureDir(s.dir); err != nil {
		return err
	}
	all, err := list(s.dir)
	if err != nil {
		return err
	}
	s.name = segment{today, 1}
	for _, other := range all {
		if other.day == today {
			s.name = other
		}
	}
	for {
		if err := s.openFile(); err != nil {
			return err
		}
		if s.used == 0 || s.used+more <= s.size {
			break
		}
		s.close()
		s.name.part++
	}
	return s.prune()
}

func (s *segments) openFile() error {
	path := filepath.Join(s.dir, s.name.file())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	if err == nil && info.Size() > 0 { // end a line that was cut off by a crash
		last := make([]byte, 1)
		if _, err = f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			_, err = f.Write([]byte("\n"))
		}
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("open %s: %w", path, err)
	}
	s.file, s.used = f, info.Size()
	return nil
}

func (s *segments) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// prune removes segments that are too old, and the oldest ones until all fit. It
// keeps the segment that is being written and all later ones.
func (s *segments) prune() error {
	all, err := list(s.dir)
	if err != nil {
		return err
	}
	sizes := map[segment]int64{}
	var sum int64
	for _, name := range all {
		if info, err := os.Stat(filepath.Join(s.dir, name.file())); err == nil {
			sizes[name] = info.Size()
			sum += info.Size()
		}
	}
	oldest := day(s.now().Add(-s.age))
	for _, name := range all {
		if compareSegments(name, s.name) >= 0 || name.day >= oldest && sum+s.size <= s.total {
			break
		}
		if err := os.Remove(filepath.Join(s.dir, name.file())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		sum -= sizes[name]
	}
	return nil
}
