// Package hosts owns the managed block of the hosts file: the names of local
// apps, for programs whose resolver does not know `*.localhost` (Safari, and
// whatever asks the system).
//
// Everything outside the block belongs to somebody else and stays as it is, to
// the byte. Which names go in is the caller's business.
package hosts

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
)

// The lines that enclose the block.
const (
	begin = "# BEGIN hostless (managed: hostless hosts sync|clean)"
	end   = "# END hostless"
	// mark ends the block's lines of names that are not below localhost.
	mark = " # hostless"
	// unended, at the end of the block's first line, says that the line above,
	// the file's last, had no line end before there was a block.
	unended = " (the line above had no end)"
)

// line is one line of the file with its own ending.
type line struct{ text, ending string }

func split(content []byte) []line {
	var lines []line
	for len(content) > 0 {
		i := bytes.IndexByte(content, '\n')
		if i < 0 {
			text, cr := strings.CutSuffix(string(content), "\r")
			ending := ""
			if cr {
				ending = "\r" // half a CRLF
			}
			return append(lines, line{text, ending})
		}
		text, ending := string(content[:i]), "\n"
		if strings.HasSuffix(text, "\r") {
			text, ending = text[:i-1], "\r\n"
		}
		lines = append(lines, line{text, ending})
		content = content[i+1:]
	}
	return lines
}

func isBegin(l line) bool { return strings.HasPrefix(strings.TrimSpace(l.text), "# BEGIN hostless") }
func isEnd(l line) bool   { return strings.TrimSpace(l.text) == end }

// ours reports whether a line has the form that the block's lines have, and the
// name it gives.
func ours(l line) (string, bool) {
	text, marked := strings.CutSuffix(strings.TrimSpace(l.text), mark)
	fields := strings.Fields(text)
	if len(fields) != 2 || (fields[0] != "127.0.0.1" && fields[0] != "::1") {
		return "", false
	}
	return fields[1], marked || strings.HasSuffix(fields[1], appname.Suffix)
}

// Edit gives the content with a block of exactly these names; without names,
// with no block at all. Names are host names below `.localhost`; each gets an
// IPv4 and an IPv6 line. Lines outside the block, their endings included, stay
// as they are, also those that somebody put into the block. A block whose end
// was lost ends at the first line that is not of its form; several blocks become
// one. A file whose last line has no end gets that back without the block.
func Edit(content []byte, names []string) ([]byte, error) {
	for _, name := range names {
		if !valid(name) {
			return nil, fmt.Errorf("%q is not the host name of an app", name)
		}
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	lines := split(content)
	eol := "\n"
	if slices.ContainsFunc(lines, func(l line) bool { return strings.HasPrefix(l.ending, "\r") }) {
		eol = "\r\n"
	}
	var out []line
	at, open := -1, false
	for i := 0; i < len(lines); i++ {
		if !isBegin(lines[i]) {
			out = append(out, lines[i])
			continue
		}
		if at < 0 {
			at = len(out)
			open = strings.HasSuffix(lines[i].text, unended)
		}
		last := blockEnd(lines, i)
		for _, l := range lines[i+1 : last+1] {
			if _, our := ours(l); !our && !isEnd(l) {
				out = append(out, l)
			}
		}
		i = last
	}
	if len(names) == 0 && open && at > 0 && at == len(out) {
		out[at-1].ending = ""
	}
	if len(names) > 0 {
		if at < 0 {
			at = len(out)
			if open = at > 0 && !strings.HasSuffix(out[at-1].ending, "\n"); open {
				out[at-1].ending = eol
			}
		}
		block := []line{{begin, eol}}
		if open {
			block[0].text += unended
		}
		for _, name := range names {
			tail := ""
			if !strings.HasSuffix(name, appname.Suffix) {
				tail = mark // a name that a person may have written as well
			}
			block = append(block, line{"127.0.0.1 " + name + tail, eol}, line{"::1 " + name + tail, eol})
		}
		block = append(block, line{end, eol})
		out = slices.Insert(out, at, block...)
	}
	var b bytes.Buffer
	for _, l := range out {
		b.WriteString(l.text)
		b.WriteString(l.ending)
	}
	return b.Bytes(), nil
}

// blockEnd gives the index of the block's last line.
func blockEnd(lines []line, from int) int {
	for i := from + 1; i < len(lines) && !isBegin(lines[i]); i++ {
		if isEnd(lines[i]) {
			return i
		}
	}
	last := from
	for last+1 < len(lines) {
		if _, ok := ours(lines[last+1]); !ok {
			break
		}
		last++
	}
	return last
}

// Names gives the names of the block, sorted; empty without one.
func Names(content []byte) []string {
	names := []string{}
	lines := split(content)
	for i := 0; i < len(lines); i++ {
		if !isBegin(lines[i]) {
			continue
		}
		stop := blockEnd(lines, i)
		for ; i <= stop; i++ {
			if name, ok := ours(lines[i]); ok {
				names = append(names, name)
			}
		}
		i--
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// valid accepts the host name of an app in its one form: a name below localhost, or
// below another name.
func valid(name string) bool {
	app, below := strings.CutSuffix(name, appname.Suffix)
	if !below {
		var domain string
		if app, domain, below = strings.Cut(name, "."); below {
			domains, err := appname.CheckDomains([]string{domain})
			below = err == nil && domains[0] == domain
		}
	}
	got, err := appname.Check(app)
	return below && err == nil && got == app
}
