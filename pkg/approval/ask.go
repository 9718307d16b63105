package approval

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Answer is what a dialog was answered with.
type Answer int

// The answers. NoAnswer is a dialog that was closed, or that failed.
const (
	NoAnswer Answer = iota
	Allow
	Deny
)

// Question is what a dialog shows: plain text, one fact a line, nothing that a
// stranger could have put a line end or markup into.
type Question struct {
	Title string
	Lines []string
}

// Asker is the desktop. Its methods may be called by several goroutines.
type Asker interface {
	// Available reports whether somebody would see a dialog.
	Available(ctx context.Context) bool
	// Ask shows a dialog until it is answered or ctx ends.
	Ask(ctx context.Context, q Question) Answer
}

// desktop reports whether there is somebody to ask.
func (q *Queue) desktop(ctx context.Context) bool {
	return q.asker != nil && q.asker.Available(ctx)
}

// ask shows a dialog for an entry, unless one is on the screen. With again a
// dialog that was closed without an answer is shown once more.
func (q *Queue) ask(e *entry, again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-q.closing:
		return
	default:
	}
	if e.state != pending || e.stop != nil || e.asked && !again {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxHold)
	e.stop, e.asked = cancel, true
	q.asking.Go(func() {
		defer cancel()
		select {
		case q.dialogs <- struct{}{}:
			defer func() { <-q.dialogs }()
		case <-ctx.Done():
			return
		case <-q.closing:
			return
		}
		go func() {
			select {
			case <-q.closing:
				cancel()
			case <-ctx.Done():
			}
		}()
		answer := q.asker.Ask(ctx, e.req.question(e.id))
		if ctx.Err() != nil {
			return // answered elsewhere, or too late
		}
		q.mu.Lock()
		e.stop = nil
		q.mu.Unlock()
		if answer == NoAnswer {
			return
		}
		if a, _, err := q.Decide(e.id, Decision{Approve: answer == Allow}); err == nil && q.onDialog != nil {
			q.onDialog(a, answer == Allow)
		}
	})
}

// question is what a person is asked about a request.
func (r Request) question(id string) Question {
	lines := []string{
		r.Origin,
		"Models: " + summary(r.Scope.Models),
		"Providers: " + summary(r.Scope.Providers),
		"Limit: " + r.limit(),
	}
	if r.Process != "" {
		lines = append(lines, "Asked through: "+r.Process)
	}
	return Question{Title: "May this app use your AI models?", Lines: append(lines, "Or in a terminal: hostless approve "+id)}
}

func (r Request) limit() string {
	if r.RateLimit == 0 {
		return "no limit of requests"
	}
	return fmt.Sprintf("%d requests an hour", r.RateLimit)
}

// summary lists names, what reaches furthest first, so that what is cut off is
// never wider than what is shown.
func summary(names []string) string {
	const most = 8
	if len(names) == 0 || slices.Contains(names, "*") {
		return "all"
	}
	names = slices.Clone(names)
	slices.SortStableFunc(names, func(a, b string) int {
		switch x, y := strings.HasSuffix(a, "*"), strings.HasSuffix(b, "*"); {
		case x && y:
			return len(a) - len(b)
		case x:
			return -1
		case y:
			return 1
		}
		return 0
	})
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// ProcessName is a program and its process id as they may be shown: a program's
// file may have any name.
func ProcessName(program string, pid int) string {
	if pid <= 0 {
		return ""
	}
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune("<>&\"'`", r) || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimSuffix(filepath.Base(program), " (deleted)"))
	if name == "" || name == "." || name == "/" {
		name = "a program"
	}
	if len(name) > 64 {
		name = name[:64]
	}
	return fmt.Sprintf("%s (%d)", name, pid)
}
