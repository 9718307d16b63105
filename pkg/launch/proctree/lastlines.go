package proctree

import (
	"bytes"
	"strings"
	"sync"
)

const (
	// lastCount is how many lines are kept for the page about a command that
	// has ended. The error that matters stands before a stack and npm's own words.
	lastCount = 40
	lastBytes = 8 << 10 // and no more than this of them
	lastWidth = 1 << 10 // of a longer line only its beginning: a secret cut off in front is known no more
)

// lastLines keeps the last lines of one or several streams, in the order in
// which they were finished. It is safe for concurrent use.
type lastLines struct {
	mu    sync.Mutex
	lines []string
	parts []*linePart
}

// linePart takes one of the streams apart.
type linePart struct {
	kept *lastLines
	text []byte // of a line that has no end yet
}

// stream adds a stream.
func (l *lastLines) stream() *linePart {
	p := &linePart{kept: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts = append(l.parts, p)
	return p
}

// add takes what the stream brought.
func (p *linePart) add(data []byte) {
	l := p.kept
	l.mu.Lock()
	defer l.mu.Unlock()
	if whole := beforeLast(data, lastCount); whole > 0 {
		data, p.text = data[whole:], p.text[:0]
	}
	for {
		line, rest, found := bytes.Cut(data, []byte("\n"))
		p.append(line)
		if !found {
			return
		}
		l.lines = append(l.lines, shown(p.text))
		if len(l.lines) > 2*lastCount {
			l.lines = append(l.lines[:0], l.lines[len(l.lines)-lastCount:]...)
		}
		data, p.text = rest, p.text[:0]
	}
}

// beforeLast finds where the last n lines of data begin, 0 where it has no more.
func beforeLast(data []byte, n int) int {
	end := len(data)
	for range n + 1 {
		end = bytes.LastIndexByte(data[:end], '\n')
		if end < 0 {
			return 0
		}
	}
	return end + 1
}

// append adds to the line as a terminal shows it: after a carriage return it
// begins anew, as bars of progress do.
func (p *linePart) append(text []byte) {
	if len(text) > 0 && bytes.HasSuffix(p.text, []byte("\r")) {
		p.text = p.text[:0]
	}
	if i := bytes.LastIndexByte(bytes.TrimRight(text, "\r"), '\r'); i >= 0 {
		text, p.text = text[i+1:], p.text[:0]
	}
	p.text = append(p.text, text[:min(len(text), lastWidth-len(p.text))]...)
}

func shown(line []byte) string {
	return strings.ToValidUTF8(string(bytes.TrimRight(line, "\r")), "\uFFFD")
}

// last gives the lines, those without an end at last.
func (l *lastLines) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := append([]string(nil), l.lines...)
	for _, p := range l.parts {
		if len(p.text) > 0 {
			lines = append(lines, shown(p.text))
		}
	}
	return bounded(lines)
}

// bounded gives the last lines of several, without what is empty at either end.
func bounded(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	lines = lines[max(0, len(lines)-lastCount):]
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	for size, i := 0, len(lines)-1; i >= 0; i-- {
		if size += len(lines[i]); size > lastBytes {
			return lines[i+1:]
		}
	}
	return lines
}
