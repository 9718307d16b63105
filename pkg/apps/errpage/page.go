// Package errpage owns the page that is shown instead of an app that cannot be reached,
// and renders it as HTML, JSON or plain text.
//
// Package proxy decides what is wrong and what to advise.
package errpage

import (
	"net/http"
	"time"
)

// Page is the content of a page. Zero fields are left out. It is not safe for concurrent
// use.
type Page struct {
	Status   int
	Code     string // machine-readable error code
	App      string // the app's name, or ""
	Host     string
	Port     int // TCP port on this machine, or 0
	Title    string
	Lead     string
	Note     string // introduces the commands
	Facts    []Fact
	Commands []string // commands to type
	Log      []string
	Exit     *int      // exit code of the app's last run
	EndedAt  time.Time // end of the app's last run
	Others   []Link
	Refresh  int // reload interval in seconds, or 0
	// RetryAfter is the value of the Retry-After field of a 503 response, in seconds; 1
	// when zero.
	RetryAfter int
}

// Fact is one line of a page's details.
type Fact struct{ Name, Value string }

// Link is a link to another app.
type Link struct{ Name, URL, Target string }

// AddFact adds a line to the details.
func (p *Page) AddFact(name, value string) { p.Facts = append(p.Facts, Fact{name, value}) }

// Tone is the CSS class of the page's color: wait for an app that is starting, bad for
// one that failed, ok if nothing is wrong.
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
