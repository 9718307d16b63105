package redact

import "io"

// Writer redacts a stream of any length on its way to another writer, however it is
// divided into writes. It passes data on at once and unchanged, except for the
// possible beginning of a key at the end: that waits for the next Write, or Close.
// It buffers at most 12 KiB and is not safe for concurrent use.
type Writer struct {
	w    io.Writer
	r    Redactor
	mask bool
	held []byte
}

// NewWriter returns a Writer to w. With sameLength it keeps the number of bytes, as
// Redactor.Mask does, for a response whose Content-Length has been sent.
func NewWriter(w io.Writer, r Redactor, sameLength bool) *Writer {
	return &Writer{w: w, r: r, mask: sameLength}
}

// Write redacts p and passes it on. It reports all of p as written even if some of
// it is held back, and does not change p.
func (w *Writer) Write(p []byte) (int, error) {
	data := p
	for len(w.held) > 0 && len(data) > 0 {
		// Take as much of what follows as is needed to decide about the held bytes.
		n := min(len(data), maxTail/2)
		w.held = append(w.held, data[:n]...)
		data = data[n:]
		n, err := w.pass(w.held)
		if err != nil {
			return 0, err
		}
		w.held = w.held[:copy(w.held, w.held[len(w.held)-n:])]
	}
	if len(data) > 0 {
		n, err := w.pass(data)
		if err != nil {
			return 0, err
		}
		w.held = append(w.held, data[len(data)-n:]...)
	}
	return len(p), nil
}

// pass writes data except for its tail, and returns the length of the tail.
func (w *Writer) pass(data []byte) (tail int, err error) {
	tail = w.r.Tail(data)
	if data = data[:len(data)-tail]; len(data) == 0 {
		return tail, nil
	}
	return tail, w.write(data)
}

func (w *Writer) write(data []byte) error {
	if w.mask {
		data = w.r.Mask(data)
	} else {
		data = w.r.Bytes(data)
	}
	_, err := w.w.Write(data)
	return err
}

// Close writes what is still held back. It does not close the underlying writer.
func (w *Writer) Close() error {
	if len(w.held) == 0 {
		return nil
	}
	data := w.held
	w.held = nil
	return w.write(data)
}
