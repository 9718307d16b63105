package reqlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Offsets tell how far the segments have been read: bytes, by file name. nil means
// nothing was read.
type Offsets map[string]int64

// Scan yields the rows after the offsets, in all segments since from's UTC day,
// whichever process wrote them. It returns the offsets after these rows. It leaves
// an incomplete last line to the next scan. Unlike Each, it does not wait for the
// rows of this process. Unless skip is "", it skips rows whose id begins with it.
// It may be called before a log is created.
func Scan(dir string, from time.Time, after Offsets, skip string, yield func(*Row)) (Offsets, error) {
	all, err := list(dir)
	if err != nil {
		return after, fmt.Errorf("read request log: %w", err)
	}
	next := Offsets{}
	prefix := []byte(`{"id":"` + skip)
	for _, s := range all {
		if s.day < day(from) {
			continue
		}
		name := s.file()
		offset, err := scanFile(filepath.Join(dir, name), after[name], func(line []byte) {
			if skip != "" && bytes.HasPrefix(line, prefix) {
				return
			}
			if r, ok := decode(line); ok && (skip == "" || !strings.HasPrefix(r.ID, skip)) {
				yield(r)
			}
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have been pruned in the meantime
			return after, fmt.Errorf("read request log: %w", err)
		}
		next[name] = offset
	}
	return next, nil
}

// scanFile yields the lines of one file after offset, and returns the offset after
// the last complete line.
func scanFile(path string, offset int64, yield func(line []byte)) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return offset, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() <= offset {
		return offset, err
	}
	data := make([]byte, info.Size()-offset)
	n, err := f.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return offset, err
	}
	data = data[:bytes.LastIndexByte(data[:n], '\n')+1]
	for line := range bytes.Lines(data) {
		yield(line)
	}
	return offset + int64(len(data)), nil
}
