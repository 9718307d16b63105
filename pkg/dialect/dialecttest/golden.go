package dialecttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Golden runs golden cases: txtar files whose sections are inputs, which never
// change, and outputs, which -update rewrites.
type Golden struct {
	Glob   string   // pattern for the files, such as "testdata/*.txtar"
	Min    int      // minimum number of files; 0 means one
	Parts  []string // all sections, in their order within a file
	Inputs []string // the sections that are inputs
	// PartsOf returns the sections if each case has its own. Parts is not used
	// then.
	PartsOf func(c Case) []string
	// Run returns the outputs of a case. It is called in a subtest with the case's
	// name.
	Run func(t *testing.T, c Case) map[string][]byte
}

// Case is one golden case.
type Case struct {
	Name    string // of the file, without its extension
	Comment string // the text above the sections
	In      map[string][]byte
}

// Test runs each case in a subtest. It reports sections that Run does not return,
// and sections that Run returns and the file does not have.
func (g Golden) Test(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(g.Glob)
	if err != nil || len(files) < max(g.Min, 1) {
		t.Fatalf("%d golden files in %s, want %d or more", len(files), g.Glob, max(g.Min, 1))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := Case{Name: name, Comment: string(archive.Comment), In: sections(archive)}
			if g.PartsOf != nil {
				g.Parts = g.PartsOf(c)
			}
			got := g.Run(t, c)
			if *update {
				g.write(t, file, archive.Comment, c.In, got)
				return
			}
			for _, part := range g.Parts {
				want, listed := c.In[part]
				data, made := got[part]
				switch {
				case slices.Contains(g.Inputs, part):
				case listed && !made:
					t.Errorf("%s was not made", part)
				default:
					if diff := cmp.Diff(string(want), string(data)); diff != "" {
						t.Errorf("%s (-want +got):\n%s", part, diff)
					}
				}
			}
			for part := range got {
				if !slices.Contains(g.Parts, part) {
					t.Errorf("%s is not a part of these cases", part)
				}
			}
		})
	}
}

func (g Golden) write(t *testing.T, file string, comment []byte, in, got map[string][]byte) {
	t.Helper()
	out := &txtar.Archive{Comment: comment}
	for _, part := range g.Parts {
		if data, ok := got[part]; ok {
			out.Files = append(out.Files, txtar.File{Name: part, Data: data})
		} else if data, ok := in[part]; ok && slices.Contains(g.Inputs, part) {
			out.Files = append(out.Files, txtar.File{Name: part, Data: data})
		}
	}
	if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

func sections(archive *txtar.Archive) map[string][]byte {
	in := map[string][]byte{}
	for _, f := range archive.Files {
		in[f.Name] = f.Data
	}
	return in
}

// Cases reads golden cases, as seeds for fuzzing.
func Cases(t testing.TB, glob string) (cases []Case) {
	t.Helper()
	files, _ := filepath.Glob(glob)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, Case{strings.TrimSuffix(filepath.Base(file), ".txtar"), string(archive.Comment), sections(archive)})
	}
	return cases
}

// Refused formats the fault of a request that is not translated, as golden cases
// store it: status, param and message. Any other error fails the test.
func Refused(t testing.TB, err error) []byte {
	t.Helper()
	e := fault.From(err)
	if e.Kind != fault.Invalid {
		t.Errorf("kind %d of %v, want Invalid", e.Kind, err)
	}
	return fmt.Appendf(nil, "%d %s: %s\n", e.Kind.Status(), e.Param, e.Message)
}

// Lines formats words for a golden case, one per line.
func Lines(words []string) []byte { return []byte(strings.Join(words, "\n") + "\n") }

// Indent formats JSON for a golden case.
func Indent(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return append(b.Bytes(), '\n')
}

// Translate runs events through a stream as the gateway does. write appends one
// event for the client; it defaults to sse.Append.
func Translate(s dialect.Stream, events io.Reader, write func([]byte, sse.Event) []byte) []byte {
	if write == nil {
		write = sse.Append
	}
	var out []byte
	emit := func(ev sse.Event) { out = write(out, ev) }
	r := sse.NewReader(events, 0)
	var cause error
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.Event(ev, emit)
		}
		if err != nil {
			cause = err
			break
		}
	}
	s.End(cause, emit)
	return out
}

// CheckEvents checks that each event's data is JSON or [DONE].
func CheckEvents(t testing.TB, stream []byte) {
	t.Helper()
	r := sse.NewReader(bytes.NewReader(stream), 1<<30)
	for {
		ev, err := r.Next()
		if err != nil {
			return
		}
		if ev.Data != nil && string(ev.Data) != "[DONE]" && !json.Valid(ev.Data) {
			t.Errorf("invalid event %s", ev.Data)
		}
	}
}
