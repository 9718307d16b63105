package errpage

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

// pageTemplate escapes everything that it inserts.
var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// maxPage is the maximum size of a page in bytes.
const maxPage = 19 << 10

// Maximum lengths of a page's parts.
const (
	pageLogLines = 30
	pageFacts    = 12
	pageWidth    = 200
	pageCommand  = 400 // a truncated command would be useless
)

// Render returns the page in the format that the request accepts: HTML, JSON or plain
// text. It leaves out what would make the page too long.
func (p *Page) Render(r *http.Request) (status int, header http.Header, body []byte) {
	p.bound(pageLogLines, pageWidth)
	header = http.Header{
		"Cache-Control":          {"no-store"},
		"Vary":                   {"Accept, User-Agent"},
		"X-Content-Type-Options": {"nosniff"},
		"X-Hostless-Error":       {"local"},
	}
	if p.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(max(1, p.RetryAfter)))
	}
	switch preferred(r) {
	case "html":
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		return p.Status, header, p.fit(p.html)
	case "json":
		header.Set("Content-Type", "application/json")
		return p.Status, header, p.fit(p.json)
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	if commandLine(r) {
		return p.Status, header, p.brief()
	}
	return p.Status, header, p.fit(p.text)
}

// commandLine reports whether the client is a command line tool such as curl that did not
// ask for a specific format.
func commandLine(r *http.Request) bool {
	if accept := r.Header["Accept"]; len(accept) > 1 || len(accept) == 1 && accept[0] != "*/*" {
		return false
	}
	agent := r.UserAgent()
	for _, tool := range []string{"curl/", "Wget/", "HTTPie/", "xh/"} {
		if strings.HasPrefix(agent, tool) {
			return true
		}
	}
	return false
}

// brief returns the page as two lines of text.
func (p *Page) brief() []byte {
	text := p.Title + ": " + p.Lead + "\n"
	if len(p.Commands) > 0 {
		text += "next: " + p.Commands[0] + "\n"
	}
	return []byte(text)
}

// bound limits the page's size and removes control characters, whatever the app prints or
// is named.
func (p *Page) bound(lines, width int) {
	cut := func(s string) string {
		s = Plain(s)
		if len(s) > width {
			return strings.ToValidUTF8(s[:width], "") + "…"
		}
		return s
	}
	p.Log = append([]string(nil), p.Log[max(0, len(p.Log)-lines):]...)
	for i := range p.Log {
		p.Log[i] = cut(p.Log[i])
	}
	p.Facts = p.Facts[:min(len(p.Facts), pageFacts)]
	for i := range p.Facts {
		p.Facts[i].Value = cut(p.Facts[i].Value)
	}
	for i := range p.Commands {
		typed := Plain(p.Commands[i])
		p.Commands[i] = strings.ToValidUTF8(typed[:min(len(typed), pageCommand)], "")
	}
	for i := range p.Others {
		p.Others[i].Target = cut(p.Others[i].Target)
	}
	p.Lead = cut(p.Lead)
}

// Plain removes control characters and terminal escape sequences from a line. Invalid
// UTF-8 is replaced by U+FFFD.
func Plain(s string) string {
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
				i-- // ST is an escape sequence itself
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
		if r >= 0x80 && r < 0xa0 { // C1 control characters
			return -1
		}
		return r
	}, strings.ToValidUTF8(b.String(), "�"))
}

// fit renders the page with as much of its log and links as fit into maxPage.
func (p *Page) fit(render func() []byte) []byte {
	for {
		page := render()
		if len(page) <= maxPage || len(p.Log) == 0 && len(p.Others) == 0 {
			return page
		}
		p.Log, p.Others = p.Log[(len(p.Log)+1)/2:], p.Others[:len(p.Others)/2]
	}
}

func (p *Page) html() []byte {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return p.text() // cannot happen: the template is tested
	}
	return b.Bytes()
}

func (p *Page) json() []byte {
	type other struct {
		Hostname string `json:"hostname"`
		URL      string `json:"url"`
	}
	others := []other{}
	for _, o := range p.Others {
		others = append(others, other{o.Name, o.URL})
	}
	details := map[string]string{}
	for _, f := range p.Facts {
		details[strings.ToLower(strings.ReplaceAll(f.Name, " ", "_"))] = f.Value
	}
	next := ""
	if len(p.Commands) > 0 {
		next = p.Commands[0]
	}
	kind := "upstream_error"
	switch p.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMisdirectedRequest:
		kind = "invalid_request_error"
	}
	var port *int
	if p.Port != 0 {
		port = &p.Port
	}
	var endedAt *time.Time
	if at := p.EndedAt.UTC().Round(time.Second); !p.EndedAt.IsZero() {
		endedAt = &at
	}
	fields := map[string]any{"message": p.Title + ": " + p.Lead, "type": kind, "code": p.Code, "param": nil}
	var data []byte
	var err error
	if p.App == "" { // without an app, use the gateway's error format
		data, err = json.Marshal(map[string]any{"error": fields})
	} else {
		maps.Copy(fields, map[string]any{
			"next": next, "note": p.Note, "app": p.App, "hostname": p.Host, "port": port,
			"details": details, "log": append([]string{}, p.Log...), "exit": p.Exit, "ended_at": endedAt, "routes": others,
		})
		data, err = json.MarshalIndent(map[string]any{"error": fields}, "", "  ")
	}
	if err != nil {
		panic(err) // strings always marshal
	}
	return append(data, '\n')
}

func (p *Page) text() []byte {
	var b strings.Builder
	b.WriteString(p.Title + ".\n" + p.Lead + "\n")
	for _, f := range p.Facts {
		b.WriteString("  " + f.Name + ": " + f.Value + "\n")
	}
	if len(p.Log) > 0 {
		b.WriteString("\nIts last output:\n")
		for _, line := range p.Log {
			b.WriteString("  " + line + "\n")
		}
	}
	if p.Note != "" {
		b.WriteString("\n" + p.Note + "\n")
	}
	for _, c := range p.Commands {
		b.WriteString("  " + c + "\n")
	}
	if len(p.Others) > 0 {
		b.WriteString("\nOther apps:\n")
		for _, o := range p.Others {
			b.WriteString("  " + o.URL + "\n")
		}
	}
	return []byte(b.String())
}

// WantsHTML reports whether the client prefers HTML, as browsers do.
func WantsHTML(r *http.Request) bool { return preferred(r) == "html" }

// preferred chooses html, json or text by the Accept field (RFC 9110 section 12.5.1): the
// type with the highest weight, or the first of those with equal weights. A client that
// accepts anything gets JSON as a program does, unless it is known to show the response
// to a person.
func preferred(r *http.Request) string {
	if commandLine(r) {
		return "text"
	}
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
