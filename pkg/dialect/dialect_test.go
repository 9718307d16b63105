package dialect_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/sse"
)

// wrap is a translator that puts its mark around everything, so that the result
// shows the order of a chain.
func wrap(mark string) dialect.Translator {
	return func(req dialect.Request) (*dialect.Call, error) {
		return &dialect.Call{
			Path: "/" + mark, Header: http.Header{"X-" + mark: {"1"}}, Body: put(mark, req.Body),
			Stream: req.Stream, Ignored: []string{mark}, Reply: reply(mark),
		}, nil
	}
}

func put(mark string, b []byte) []byte { return append(append([]byte(mark+"("), b...), ')') }

type reply string

func (r reply) Body(b []byte) ([]byte, error)               { return put(string(r), b), nil }
func (r reply) Error(_ int, _ http.Header, b []byte) []byte { return put(string(r), b) }
func (r reply) Stream() dialect.Stream                      { return stream(r) }

type stream string

func (s stream) Event(ev sse.Event, emit func(sse.Event)) error {
	if bytes.Equal(ev.Data, []byte("bad")) {
		return errors.New("bad event")
	}
	emit(sse.Event{Data: put(string(s), ev.Data)})
	return nil
}

func (s stream) End(cause error, emit func(sse.Event)) error {
	if cause != nil {
		emit(sse.Event{Data: []byte(string(s) + " error: " + cause.Error())})
	}
	return cause
}

func TestChain(t *testing.T) {
	call, err := dialect.Chain(wrap("a"), wrap("b"))(dialect.Request{Body: []byte("q"), Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	if string(call.Body) != "b(a(q))" || call.Path != "/b" || !call.Stream {
		t.Errorf("call = %s %s %v", call.Path, call.Body, call.Stream)
	}
	if diff := cmp.Diff([]string{"a", "b"}, call.Ignored); diff != "" {
		t.Error(diff)
	}
	if body, _ := call.Reply.Body([]byte("r")); string(body) != "a(b(r))" {
		t.Errorf("reply = %s, want a(b(r))", body)
	}
	if body := call.Reply.Error(500, nil, []byte("e")); string(body) != "a(b(e))" {
		t.Errorf("error = %s, want a(b(e))", body)
	}
	var got []string
	emit := func(ev sse.Event) { got = append(got, string(ev.Data)) }
	s := call.Reply.Stream()
	if err := s.Event(sse.Event{Data: []byte("1")}, emit); err != nil {
		t.Fatal(err)
	}
	err = s.Event(sse.Event{Data: []byte("bad")}, emit)
	if err == nil {
		t.Fatal("a bad event passed")
	}
	if got := s.End(err, emit); got != err {
		t.Errorf("End = %v, want %v", got, err)
	}
	if diff := cmp.Diff([]string{"a(b(1))", "a(b error: bad event)"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhyNamesNothingOfTheCode(t *testing.T) {
	var request struct {
		Messages []struct{ Role string }
		Stream   bool
	}
	for in, want := range map[string]string{
		`{"messages":"x"}`:            "messages cannot be a string",
		`{"messages":[{"role":[1]}]}`: "messages.role cannot be an array",
		`{"stream":{}}`:               "stream cannot be an object",
		`[]`:                          "it cannot be an array",
	} {
		if got := strings.ToLower(dialect.Why(json.Unmarshal([]byte(in), &request))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestIgnoredNamesAreBounded(t *testing.T) {
	names := dialect.Ignore(dialect.Ignore(nil, "a"), "a")
	for i := range 1000 {
		names = dialect.Ignore(names, fmt.Sprint(i))
	}
	if len(names) > 200 || names[0] != "a" || names[1] != "0" {
		t.Errorf("%d names: %v…", len(names), names[:2])
	}
}
