// Package errpage owns the page that is shown in place of an app that cannot be
// reached: its parts, and their form as HTML, JSON or plain text.
//
// What is wrong, and what to advise, is decided by package proxy.
package errpage

import (
	"net/http"
	"time"
)

// Page is what a page says. Zero parts are left out. It is used by one goroutine.
type Page struct {
	Status   int
	Code     string // for programs
	App      string // its name, or ""
	Host     string
	Port     int // of this machine, or 0
	Title    string
	Lead     string
	Note     string // above the commands
	Facts    []Fact
	Commands []string // to be typed
	Log      []string
	Exit     *int      // of the app's last run
	EndedAt  time.Time // of it
	Others   []Link
	Refresh  int // seconds, or 0
	// RetryAfter is the value of Retry-After in a 503, in seconds: 1 when zero.
	RetryAfter int
}

// Fact is one line of a page's details.
type Fact struct{ Name, Value string }

// Link leads to another app.
type Link struct{ Name, URL, Target string }

// AddFact adds a line to the details.
func (p *Page) AddFact(name, value string) { p.Facts = append(p.Facts, Fact{name, value}) }

// Tone is the class of a page's colour: wait for an app that starts, bad for one
// that failed, ok where nothing is wrong.
func (p *Page) Tone() string {
	switch {
	case p.Status == http.StatusOK:
		return "ok"
	case p.Status == http.StatusServiceUnavailable:
		return "wait"
	case p.Status >= 500 || p.Exit != nil && *p.Exit != 0:
		return "bad"
	}
	return ""
}
