package control

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/audit"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/procinfo"
)

// AuditList answers GET /audit.
type AuditList struct {
	Entries []audit.Entry `json:"entries"`
}

// auditWriter notes what becomes of a request. The entry is written with the
// answer's first byte: a lease's answer lasts as long as its app.
type auditWriter struct {
	http.ResponseWriter
	server *Server
	r      *http.Request
	target string
	result string // the type of the error, or ""
	done   bool
}

// audited records what changes something, and whatever is refused.
func (s *Server) audited(next http.Handler) http.Handler {
	if s.audit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &auditWriter{ResponseWriter: w, server: s, r: r}
		next.ServeHTTP(a, r)
		a.record(http.StatusOK)
	})
}

func (w *auditWriter) WriteHeader(status int) {
	w.record(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *auditWriter) Write(p []byte) (int, error) {
	w.record(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *auditWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// target names what a request acts upon, where its path does not.
func target(w http.ResponseWriter, what string) {
	if a, ok := w.(*auditWriter); ok && a.target == "" {
		a.target = what
	}
}

// failed names the error that a request ends with.
func failed(w http.ResponseWriter, f *fault.Error) {
	if a, ok := w.(*auditWriter); ok {
		a.result = f.Kind.Type()
	}
}

// record writes the entry, once.
func (w *auditWriter) record(status int) {
	if w.done {
		return
	}
	w.done = true
	refused := status == http.StatusForbidden
	reading := w.r.Method == http.MethodGet || w.r.Method == http.MethodHead
	report := strings.HasPrefix(w.r.Pattern, "PATCH /routes/lease/") // a client's word on its own child
	if (reading || report) && !refused {
		return
	}
	caller := callerOf(w.r)
	e := audit.Entry{UID: caller.UID, PID: caller.PID, Action: w.r.Method + " " + shownPath(w.r), Target: w.target, Result: "ok"}
	if e.Target == "" {
		for _, name := range []string{"provider", "name", "id"} {
			if value := w.r.PathValue(name); value != "" && plainName.MatchString(value) {
				e.Target = value
			}
		}
	}
	if status >= 400 {
		e.Result = w.result
		if e.Result == "" {
			e.Result = "status " + strconv.Itoa(status)
		}
	}
	if caller.PID > 0 {
		e.Program = procinfo.Program(caller.PID)
		if enclosing, err := w.server.enclosingRuns(caller); err == nil && len(enclosing) > 0 {
			e.Run = strings.TrimSuffix(enclosing[0].hostname, ".localhost")
		}
	}
	if err := w.server.audit.Append(e); err != nil {
		w.server.log.Error("audit entry cannot be written", "error", err)
	}
}

// plainName is what a part of a path may be to be written down: a key may have been
// given for a provider's name.
var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// shownPath is a request's path as it may be written down.
func shownPath(r *http.Request) string {
	_, pattern, _ := strings.Cut(r.Pattern, " ")
	if pattern == "" {
		for part := range strings.SplitSeq(strings.Trim(r.URL.Path, "/"), "/") {
			if !plainName.MatchString(part) {
				return "(unknown path)"
			}
		}
	}
	for _, name := range []string{"provider", "name", "id"} {
		if value := r.PathValue(name); value != "" && !plainName.MatchString(value) {
			return pattern
		}
	}
	return r.URL.Path
}

// The entries that GET /audit gives.
const (
	defaultEntries = 100
	maxEntries     = 10_000
)

// getAudit gives the last n entries; with follow=1, one a line, and then each new
// one.
func (s *Server) getAudit(w http.ResponseWriter, r *http.Request) {
	n := defaultEntries
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 0 || n > maxEntries {
			s.fail(w, r, &fault.Error{Kind: fault.Invalid, Message: "n is a number of entries, at most 10000", Param: "n"})
			return
		}
	}
	if r.URL.Query().Get("follow") != "1" {
		entries, err := s.audit.Tail(n)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		answer(w, AuditList{Entries: append([]audit.Entry{}, entries...)})
		return
	}
	s.streamLines(w, r, "audit log", func(ctx context.Context, yield func(any) error) error {
		return s.audit.Follow(ctx, n, func(e audit.Entry) error { return yield(e) })
	})
}
