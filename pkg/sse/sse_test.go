package sse_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/sse"
)

type plain struct{ Name, Data, ID, Comment string }

func readAll(t testing.TB, r io.Reader) (events []plain, raw []byte, last error) {
	t.Helper()
	reader := sse.NewReader(r, 1<<16)
	for {
		ev, err := reader.Next()
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			events = append(events, plain{ev.Name, string(ev.Data), ev.ID, ev.Comment})
			raw = append(raw, ev.Raw...)
		}
		if err != nil {
			return events, raw, err
		}
	}
}

func TestReader(t *testing.T) {
	tests := []struct {
		name, in string
		want     []plain
		last     error
	}{
		{"one", "data: a\n\n", []plain{{Data: "a"}}, io.EOF},
		{"named, id, two lines", "event: e\nid: 7\ndata: a\ndata:b\n\n", []plain{{Name: "e", ID: "7", Data: "a\nb"}}, io.EOF},
		{"crlf", "event: e\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []plain{{Name: "e", Data: "a"}, {Data: "b"}}, io.EOF},
		{"cr", "data: a\r\rdata: b\r\r", []plain{{Data: "a"}, {Data: "b"}}, io.EOF},
		{"comment", ": ping\n\ndata: a\n\n", []plain{{Comment: "ping"}, {Data: "a"}}, io.EOF},
		{"blank lines between", "\n\ndata: a\n\n\n\ndata: b\n\n", []plain{{Data: "a"}, {Data: "b"}}, io.EOF},
		{"byte order mark", "\xef\xbb\xbfdata: a\n\n", []plain{{Data: "a"}}, io.EOF},
		{"cut off", "data: a\n\ndata: b", []plain{{Data: "a"}, {Data: "b"}}, io.ErrUnexpectedEOF},
		{"empty data", "data\n\n", []plain{{}}, io.EOF},
		{"nothing", "", nil, io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				got, _, last := readAll(t, r)
				if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(last, tt.last) {
					t.Errorf("%s: last %v, want %v; events (-want +got):\n%s", name, last, tt.last, diff)
				}
			}
		})
	}
}

func TestReaderBoundsOneEvent(t *testing.T) {
	r := sse.NewReader(strings.NewReader("data: "+strings.Repeat("x", 100)+"\n\n"), 50)
	if _, err := r.Next(); !errors.Is(err, sse.ErrTooLong) {
		t.Errorf("err = %v, want ErrTooLong", err)
	}
}

func TestAppendReadsBack(t *testing.T) {
	for _, ev := range []sse.Event{{Data: []byte("a")}, {Name: "e", ID: "1", Data: []byte("a\nb")}, {Comment: "ping"}} {
		got, _, _ := readAll(t, bytes.NewReader(sse.Append(nil, ev)))
		if diff := cmp.Diff([]plain{{ev.Name, string(ev.Data), ev.ID, ev.Comment}}, got); diff != "" {
			t.Error(diff)
		}
	}
}

// FuzzReader checks that the events do not depend on how the bytes are split into reads.
func FuzzReader(f *testing.F) {
	f.Add([]byte("event: e\r\ndata: a\r\n\r\n: c\n\ndata: b\rdata: c\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, _, _ := readAll(t, bytes.NewReader(in))
		split, _, _ := readAll(t, iotest.OneByteReader(bytes.NewReader(in)))
		if diff := cmp.Diff(whole, split); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzSplitter checks that the Splitter finds the events that the Reader reads, however the
// buffer grows.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("event: e\ndata: a\n\n: c\n\ndata: b\ndata: c\n\ndata\n\n\n\ndata: rest"), 3)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if bytes.ContainsAny(in, "\r\ufeff") {
			return // the Reader ends a line at a lone CR before the Splitter can know that it is lone
		}
		var want, got []string
		r := sse.NewReader(bytes.NewReader(in), 1<<20)
		for {
			ev, err := r.Next()
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if ev.Data != nil {
				want = append(want, string(ev.Data))
			}
			if err != nil {
				break
			}
		}
		add := func(block []byte) {
			if data := sse.Data(block); data != nil {
				got = append(got, string(data))
			}
		}
		var split sse.Splitter
		var buf []byte
		for rest := in; len(rest) > 0; {
			n := min(len(rest), 1+int(uint(step)%7))
			buf, rest = append(buf, rest[:n]...), rest[n:]
			for {
				end, ok := split.Next(buf)
				if !ok {
					break
				}
				add(buf[:end])
				buf = buf[end:]
				split.Shift(end)
			}
		}
		add(buf)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-reader +splitter):\n%s", in, diff)
		}
	})
}
