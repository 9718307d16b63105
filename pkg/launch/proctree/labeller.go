package proctree

import "bytes"

// maxLine is the longest line in bytes: a longer one is labelled in parts.
const maxLine = 16 << 10

// labeller puts a label before each line and writes whole lines, so that the lines of
// several apps do not mix.
type labeller struct {
	out   func([]byte) error
	label string
	line  []byte // a line without its end
}

func (l *labeller) write(p []byte) error {
	l.line = append(l.line, p...)
	for {
		i := bytes.IndexByte(l.line, '\n')
		if i < 0 && len(l.line) < maxLine {
			return nil
		}
		if i < 0 {
			i = maxLine - 1
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

// flush writes a last line that has no line break.
func (l *labeller) flush() {
	if len(l.line) > 0 {
		_ = l.put(l.line)
		l.line = nil
	}
}
