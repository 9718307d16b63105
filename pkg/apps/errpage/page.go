// Package errpage owns the page that is shown in place of an app that cannot be
// reached: its parts, and their form as HTML, JSON or plain text.
//
// What has gone wrong, and what to advise, is package proxy's to know.
package errpage

import "time"

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
}

// Fact is one line of a page's details.
type Fact struct{ Name, Value string }

// Link leads to another app.
type Link struct{ Name, URL, Target string }

// AddFact adds a line to the details.
func (p *Page) AddFact(name, value string) { p.Facts = append(p.Facts, Fact{name, value}) }
