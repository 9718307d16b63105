package proctree

import (
	"bytes"
	"strings"
	"sync"
)

const (
	// lastCount is how many lines are kept for the page about a command that has ended.
	// The relevant error comes before a stack trace and npm's own output.
	lastCount = 40
	lastBytes = 8 << 10 // the limit for all lines
	lastWidth = 1 << 10 // the limit for a line; its start is kept, since a secret without its start is not recognised
)

// lastLines keeps the last lines of one or more streams, in the order in which they were
// completed. It is safe for concurrent use.
type lastLines struct {
	mu    sync.Mutex
	lines []string
	parts []*linePart
}

// linePart splits one of the streams into lines.
type linePart struct {
	kept *lastLines
	text []byte // of the incomplete last line
}

// stream adds a stream.
func (l *lastLines) stream() *linePart {
	p := &linePart{kept: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts = append(l.parts, p)
	return p
}

// add adds data of the stream.
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

// beforeLast returns the offset of the last n lines of data, 0 if it has no more.
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

// append adds to the incomplete line as a terminal does: a carriage return starts the
// line again, as in progress bars.
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

// last returns the lines, the incomplete ones last.
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

// bounded returns the last lines, without empty ones at either end.
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
