package approval

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Answer is the result of a dialog.
type Answer int

// Possible answers. NoAnswer means that the dialog was closed or failed.
const (
	NoAnswer Answer = iota
	Allow
	Deny
)

// Question is the text of a dialog: plain text, one fact per line. Line breaks and markup
// from the app have been refused or escaped before.
type Question struct {
	Title string
	Lines []string
}

// Asker shows dialogs on a desktop. Its methods may be called concurrently.
type Asker interface {
	// Available reports whether there is a desktop to show a dialog on.
	Available(ctx context.Context) bool
	// Ask shows a dialog and blocks until it is answered or ctx ends.
	Ask(ctx context.Context, q Question) Answer
}

// desktop reports whether there is a desktop to ask on.
func (q *Queue) desktop(ctx context.Context) bool {
	return q.asker != nil && q.asker.Available(ctx)
}

// ask shows a dialog for an entry, unless it already has one. With again, a dialog that
// was closed without an answer is shown again.
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
			return // answered elsewhere, or expired
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

// question returns the dialog's text for a request.
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
		return "no request limit"
	}
	return fmt.Sprintf("%d requests an hour", r.RateLimit)
}

// summary lists names with the broadest first, so that a name that is cut off is never
// broader than those shown.
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

// ProcessName formats a program and its process id for display. It sanitizes the name,
// because an executable may have any.
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
