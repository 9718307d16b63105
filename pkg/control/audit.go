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

// AuditList is the response to GET /audit.
type AuditList struct {
	Entries []audit.Entry `json:"entries"`
}

// auditWriter records the outcome of a request. The entry is written at the start of the
// response, since the response to a lease lasts as long as its app.
type auditWriter struct {
	http.ResponseWriter
	server *Server
	r      *http.Request
	target string
	result string // the type of the error, or ""
	done   bool
}

// audited records every request that changes something, and every refused one.
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

// target records what a request acts upon, if its path does not name it.
func target(w http.ResponseWriter, what string) {
	if a, ok := w.(*auditWriter); ok && a.target == "" {
		a.target = what
	}
}

// failed records the error with which a request ends.
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
	report := strings.HasPrefix(w.r.Pattern, "PATCH /routes/lease/") // a client's report about its own child
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

// plainName matches the path segments that may be logged: the user may have typed a key in
// place of a provider's name.
var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// shownPath returns a request's path as it may be logged.
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

// The number of entries that GET /audit returns.
const (
	defaultEntries = 100
	maxEntries     = 10_000
)

// getAudit returns the last n entries. With follow=1 it returns one per line, and then
// each new one.
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
