package proctree

import "bytes"

// mostLine bounds a line: a longer one is labelled in parts.
const mostLine = 16 << 10

// labeller puts a label before each line and writes line by line, so that the
// lines of several apps do not mix.
type labeller struct {
	out   func([]byte) error
	label string
	line  []byte // has no end yet
}

func (l *labeller) write(p []byte) error {
	l.line = append(l.line, p...)
	for {
		i := bytes.IndexByte(l.line, '\n')
		if i < 0 && len(l.line) < mostLine {
			return nil
		}
		if i < 0 {
			i = mostLine - 1
			if err := l.put(l.line[:i+1]); err != nil {
				return err
			}
		} else if err := l.put(l.line[:i]); err != nil {
			return err
		}
		l.line = l.line[i+1:]
	}
}

func (l *labeller) put(line []byte) error {
	return l.out(append(append([]byte(l.label), bytes.TrimSuffix(line, []byte("\r"))...), '\n'))
}

// flush writes a last line that has no end.
func (l *labeller) flush() {
	if len(l.line) > 0 {
		_ = l.put(l.line)
		l.line = nil
	}
}
