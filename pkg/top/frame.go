package top

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/inflight"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
)

// State is the content of a frame.
type State struct {
	Status   control.Status
	InFlight []inflight.Request
	Apps     []control.Route
	Keys     []control.KeyInfo
	Aliases  []control.Alias
	Today    spend.Report     // by model
	Last     []*reqlog.Row    // requests to models
	LastApps []*reqlog.AppRow // requests to apps
	Err      error            // the error of the last refresh, or nil
	At       time.Time
	View     View
}

// View holds what the user has chosen to see.
type View struct {
	ToApps bool // show the last requests to apps instead of those to models
	Keys   bool // show all keys and aliases, not only the keys that do not work
}

// Colours, as SGR parameters (ECMA-48 section 8.3.117).
const (
	bold, dim, red, green, yellow = "1", "2", "31", "32", "33"
)

// Frame returns at most height lines of at most width characters that show a state.
func Frame(s State, width, height int, colour bool) []string {
	p := &painter{width: max(20, width), colour: colour}
	p.heading(s)
	if s.Err != nil {
		p.line(red, "The daemon does not answer: "+s.Err.Error())
	}
	// Parts that change often come first. Each part has a share of the remaining lines.
	left := max(0, height-len(p.lines)-1)
	p.part(fmt.Sprintf("IN FLIGHT  %d", len(s.InFlight)), flights(s), max(3, left/3))
	p.part(fmt.Sprintf("APPS  %d", len(s.Apps)), apps(s), max(3, left/4))
	if rows := keys(s); len(rows) > 0 {
		p.part("KEYS", rows, max(3, left/4))
	}
	if s.View.Keys {
		p.part("ALIASES", aliases(s), max(3, left/4))
	}
	p.part("SPEND TODAY", costs(s), max(3, left/5))
	if s.View.ToApps {
		p.part("LAST REQUESTS TO APPS", lastToApps(s), max(3, height-len(p.lines)-1))
	} else {
		p.part("LAST REQUESTS TO MODELS", last(s), max(3, height-len(p.lines)-1))
	}
	if len(p.lines) > height {
		p.lines = p.lines[:height]
	}
	return p.lines
}

// Line returns a state in one line, for output without a terminal.
func Line(s State) string {
	if s.Err != nil {
		return s.At.Local().Format("15:04:05") + "  the daemon does not answer: " + s.Err.Error()
	}
	running := 0
	for _, a := range s.Apps {
		if a.State == "" || a.State == control.StateListening {
			running++
		}
	}
	return fmt.Sprintf("%s  in flight %d, %.1f tokens/s  apps %d of %d  today $%s, %d requests, %d failed",
		s.At.Local().Format("15:04:05"), len(s.InFlight), speed(s), running, len(s.Apps), s.Today.Total.CostUSD, s.Today.Total.Requests, s.Today.Total.Errors)
}

func speed(s State) (sum float64) {
	for _, f := range s.InFlight {
		sum += f.PerSecond
	}
	return sum
}

// row is one line of a part, in columns.
type row struct {
	cells  []string
	colour string // of the whole line, or ""
}

func flights(s State) (rows []row) {
	for _, f := range slices.Backward(s.InFlight) {
		model := f.Model
		if f.Provider != "" && !strings.HasPrefix(model, f.Provider+"/") {
			model = f.Provider + "/" + model
		}
		state := "waiting"
		if f.FirstMS != nil {
			state = fmt.Sprintf("%d tokens  %.1f/s", f.Tokens, f.PerSecond)
		}
		rows = append(rows, row{[]string{took(f.ElapsedMS), or(f.App, f.TokenName, f.Token, "-"), model, or(f.Client, "-"), state}, ""})
	}
	return rows
}

func apps(s State) (rows []row) {
	for _, a := range s.Apps {
		state, colour := or(a.State, "alias"), ""
		switch a.State {
		case control.StateExited:
			colour = red
		case control.StateStarting:
			colour = yellow
		}
		rows = append(rows, row{[]string{a.AppName + a.PathPrefix, state, a.URL + a.PathPrefix, a.Target}, colour})
	}
	return rows
}

// keys returns rows for all keys if they are shown, else for those that do not work.
func keys(s State) (rows []row) {
	for i := range s.Keys {
		k := &s.Keys[i]
		trouble, colour := k.Trouble(), red
		switch {
		case trouble == "" && !s.View.Keys:
			continue
		case trouble == "":
			colour = ""
		case k.StateStatus == http.StatusTooManyRequests:
			colour = yellow
		}
		rows = append(rows, row{[]string{k.Provider, or(k.Label, "-"), or(trouble, "good")}, colour})
	}
	return rows
}

func aliases(s State) (rows []row) {
	for _, a := range s.Aliases {
		rows = append(rows, row{[]string{a.Name, strings.Join(a.Targets, ", "), a.Token}, ""})
	}
	return rows
}

func costs(s State) (rows []row) {
	for _, g := range s.Today.Groups {
		rows = append(rows, row{[]string{"$" + g.CostUSD.String(), or(g.Key, "-"), count(g.Requests, "request"), short(g.Tokens.Input) + " in", short(g.Tokens.Output) + " out"}, ""})
	}
	return rows
}

func last(s State) (rows []row) {
	for _, r := range slices.Backward(s.Last) {
		colour := ""
		if r.ErrorKind != "" {
			colour = red
		}
		cost := "unpriced"
		if r.Priced && r.CostUSD != nil {
			cost = "$" + r.CostUSD.String()
		}
		rows = append(rows, row{[]string{
			r.Time.Local().Format("15:04:05"), or(r.Who(), "-"), or(r.Answered(), r.Path), strconv.Itoa(r.Status), took(r.DurationMS), cost, string(r.ErrorKind),
		}, colour})
	}
	return rows
}

func lastToApps(s State) (rows []row) {
	for _, r := range slices.Backward(s.LastApps) {
		colour := ""
		if r.Status >= 400 {
			colour = red
		}
		rows = append(rows, row{[]string{r.Time.Local().Format("15:04:05"), r.App, r.Method, r.Path, strconv.Itoa(r.Status), took(r.DurationMS), r.Upgrade}, colour})
	}
	return rows
}

// painter builds the lines of a frame.
type painter struct {
	width  int
	colour bool
	lines  []string
}

func (p *painter) heading(s State) {
	text := fmt.Sprintf("hostless %s  today $%s, %s, %d failed  %.1f tokens/s", s.Status.Version, s.Today.Total.CostUSD, count(s.Today.Total.Requests, "request"), s.Today.Total.Errors, speed(s))
	if s.Status.Killed {
		text += "  ALL AI TRAFFIC IS STOPPED"
	}
	end := s.At.Local().Format("15:04:05") + "  a apps, k keys, q quits"
	if s.View.ToApps {
		end = strings.Replace(end, "a apps", "a models", 1)
	}
	if gap := p.width - utf8.RuneCountInString(text) - utf8.RuneCountInString(end); gap >= 2 {
		text += strings.Repeat(" ", gap) + end
	}
	p.line(bold, text)
	for _, warning := range s.Status.Warnings {
		p.line(yellow, warning)
	}
}

// line adds one line, cut to the width.
func (p *painter) line(sgr, text string) {
	text = cut(printable(text), p.width)
	if p.colour && sgr != "" && text != "" {
		text = "\x1b[" + sgr + "m" + text + "\x1b[0m"
	}
	p.lines = append(p.lines, text)
}

// part adds a heading and rows in columns. With the heading and an empty line these are at
// most `most` lines.
func (p *painter) part(title string, rows []row, most int) {
	p.line("", "")
	p.line(dim, title)
	shown := rows[:min(len(rows), max(0, most-2))]
	if len(shown) == 0 && len(rows) == 0 {
		p.line("", "  none")
		return
	}
	var widths []int
	for _, r := range shown {
		for i, c := range r.cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = min(44, max(widths[i], utf8.RuneCountInString(printable(c))))
		}
	}
	for _, r := range shown {
		var b strings.Builder
		b.WriteString(" ")
		for i, c := range r.cells {
			c = cut(printable(c), widths[i])
			b.WriteString(" " + c)
			if i < len(r.cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+1))
			}
		}
		p.line(r.colour, strings.TrimRight(b.String(), " "))
	}
	if more := len(rows) - len(shown); more > 0 && len(shown) > 0 {
		p.line(dim, fmt.Sprintf("  and %d more", more))
	}
}

// printable replaces terminal control characters.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\ufffd'
		}
		return r
	}, text)
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width-1)]) + "…"
}

func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func took(ms int64) string {
	if ms < 10_000 {
		return strconv.FormatInt(ms, 10) + "ms"
	}
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}

func short(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10)
	case n < 1_000_000:
		return strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64) + "k"
	}
	return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + "M"
}
