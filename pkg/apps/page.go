package apps

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

// pageTemplate escapes all that it is given.
var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// maxPage bounds a page in bytes.
const maxPage = 19 << 10

// The bounds of a page's parts.
const (
	pageLogLines = 30
	pageFacts    = 12
	pageWidth    = 200
	pageCommand  = 400 // a command that is cut cannot be typed
)

// retryAfter is what a client is told of an app that starts, in seconds.
const retryAfter = "1"

// fail answers with the page of a trouble.
func (p *Plane) fail(w http.ResponseWriter, r *http.Request, t *trouble) {
	status, header, body := p.page(r, t)
	h := w.Header()
	for name, values := range header {
		h[name] = values
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		h.Set("Connection", "close") // the request's body is not read
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// page renders a trouble as the client wants to read it.
func (p *Plane) page(r *http.Request, t *trouble) (status int, header http.Header, body []byte) {
	rep := p.report(t)
	rep.bound(pageLogLines, pageWidth)
	header = http.Header{
		"Cache-Control":          {"no-store"},
		"Vary":                   {"Accept"},
		"X-Content-Type-Options": {"nosniff"},
		"X-Hostless-Error":       {"local"},
	}
	if rep.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	switch preferred(r) {
	case "html":
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		return rep.Status, header, rep.fit(rep.html)
	case "json":
		header.Set("Content-Type", "application/json")
		return rep.Status, header, rep.fit(rep.json)
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	return rep.Status, header, rep.fit(rep.text)
}

// bound keeps a report small and free of control characters, whatever its app
// has printed or is called with.
func (rep *report) bound(lines, width int) {
	cut := func(s string) string {
		s = plain(s)
		if len(s) > width {
			return strings.ToValidUTF8(s[:width], "") + "…"
		}
		return s
	}
	rep.Log = append([]string(nil), rep.Log[max(0, len(rep.Log)-lines):]...)
	for i := range rep.Log {
		rep.Log[i] = cut(rep.Log[i])
	}
	rep.Facts = rep.Facts[:min(len(rep.Facts), pageFacts)]
	for i := range rep.Facts {
		rep.Facts[i].Value = cut(rep.Facts[i].Value)
	}
	for i := range rep.Commands {
		typed := plain(rep.Commands[i])
		rep.Commands[i] = strings.ToValidUTF8(typed[:min(len(typed), pageCommand)], "")
	}
	for i := range rep.Others {
		rep.Others[i].Target = cut(rep.Others[i].Target)
	}
	rep.Lead = cut(rep.Lead)
}

// plain takes control characters and a terminal's sequences of them out of a
// line. What is no UTF-8 is marked.
func plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == 0x1b && i+1 < len(s) && s[i+1] == '[': // CSI: to its final byte (ECMA-48)
			for i += 2; i < len(s) && (s[i] < 0x40 || s[i] > 0x7e); i++ {
			}
		case c == 0x1b && i+1 < len(s) && s[i+1] == ']': // OSC: to BEL or ST
			for i += 2; i < len(s) && s[i] != 7 && s[i] != 0x1b; i++ {
			}
			if i < len(s) && s[i] == 0x1b {
				i-- // ST is an escape of its own
			}
		case c == 0x1b: // any other, such as ESC ( B
			end := i + 1
			for ; end < len(s) && s[end] >= 0x20 && s[end] <= 0x2f; end++ {
			}
			if end < len(s) && s[end] >= 0x30 && s[end] <= 0x7e {
				i = end
			}
		case c >= ' ' && c != 0x7f || c == '\t':
			b.WriteByte(c)
		}
	}
	return strings.Map(func(r rune) rune {
		if r >= 0x80 && r < 0xa0 { // the control characters beyond ASCII
			return -1
		}
		return r
	}, strings.ToValidUTF8(b.String(), "�"))
}

// fit renders a report with as much of its log and links as maxPage has room for.
func (rep *report) fit(render func() []byte) []byte {
	for {
		page := render()
		if len(page) <= maxPage || len(rep.Log) == 0 && len(rep.Others) == 0 {
			return page
		}
		rep.Log, rep.Others = rep.Log[(len(rep.Log)+1)/2:], rep.Others[:len(rep.Others)/2]
	}
}

func (rep *report) html() []byte {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, rep); err != nil {
		return rep.text() // the template is tested; this is for the impossible
	}
	return b.Bytes()
}

func (rep *report) json() []byte {
	type other struct {
		Hostname string `json:"hostname"`
		URL      string `json:"url"`
	}
	others := []other{}
	for _, o := range rep.Others {
		others = append(others, other{o.Name, o.URL})
	}
	details := map[string]string{}
	for _, f := range rep.Facts {
		details[strings.ToLower(strings.ReplaceAll(f.Name, " ", "_"))] = f.Value
	}
	next := ""
	if len(rep.Commands) > 0 {
		next = rep.Commands[0]
	}
	kind := "upstream_error"
	switch rep.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMisdirectedRequest:
		kind = "invalid_request_error"
	}
	var port, exit *int
	if rep.Port != 0 {
		port = &rep.Port
	}
	var endedAt *time.Time
	if rep.Last != nil {
		exit = rep.Last.Exit
		if at := rep.Last.at.UTC().Round(time.Second); !rep.Last.at.IsZero() {
			endedAt = &at
		}
	}
	said := map[string]any{"message": rep.Title + ": " + rep.Lead, "type": kind, "code": rep.Code, "param": nil}
	var data []byte
	var err error
	if rep.App == "" { // as the gate says its errors: there is no app to tell of
		data, err = json.Marshal(map[string]any{"error": said})
	} else {
		maps.Copy(said, map[string]any{
			"next": next, "note": rep.Note, "app": rep.App, "hostname": rep.Host, "port": port,
			"details": details, "log": append([]string{}, rep.Log...), "exit": exit, "ended_at": endedAt, "routes": others,
		})
		data, err = json.MarshalIndent(map[string]any{"error": said}, "", "  ")
	}
	if err != nil {
		panic(err) // strings always marshal
	}
	return append(data, '\n')
}

func (rep *report) text() []byte {
	var b strings.Builder
	b.WriteString(rep.Title + ".\n" + rep.Lead + "\n")
	for _, f := range rep.Facts {
		b.WriteString("  " + f.Name + ": " + f.Value + "\n")
	}
	if len(rep.Log) > 0 {
		b.WriteString("\nIts last lines:\n")
		for _, line := range rep.Log {
			b.WriteString("  " + line + "\n")
		}
	}
	if rep.Note != "" {
		b.WriteString("\n" + rep.Note + "\n")
	}
	for _, c := range rep.Commands {
		b.WriteString("  " + c + "\n")
	}
	if len(rep.Others) > 0 {
		b.WriteString("\nOther apps:\n")
		for _, o := range rep.Others {
			b.WriteString("  " + o.URL + "\n")
		}
	}
	return []byte(b.String())
}

// wantsHTML reports whether a person in a browser reads the answer.
func wantsHTML(r *http.Request) bool { return preferred(r) == "html" }

// preferred picks html, json or text by Accept (RFC 9110 section 12.5.1): the
// one of the highest weight, and of equals the one named first. A client that
// takes anything is a program.
func preferred(r *http.Request) string {
	best, weight := "json", 0.0
	for _, value := range r.Header["Accept"] {
		for part := range strings.SplitSeq(value, ",") {
			kind, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			form := ""
			switch {
			case kind == "text/html", kind == "application/xhtml+xml":
				form = "html"
			case kind == "application/json", kind == "application/*", kind == "*/*", strings.HasSuffix(kind, "+json"):
				form = "json"
			case kind == "text/*", kind == "text/plain":
				form = "text"
			default:
				continue
			}
			q := 1.0
			if s, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(s, 64); err != nil {
					continue
				}
			}
			if q > weight {
				best, weight = form, q
			}
		}
	}
	return best
}
