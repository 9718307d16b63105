// Package hosts owns the managed block of the hosts file: the names of local apps, for
// programs that use the system's resolver where it does not know `*.localhost`, such as
// Safari.
//
// Everything outside the block belongs to the user and stays unchanged, byte for byte.
// The caller decides which names the block contains.
package hosts

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
)

// Lines and marks of the block.
const (
	begin = "# BEGIN hostless (managed: hostless hosts sync|clean)"
	end   = "# END hostless"
	// mark ends a line of the block whose name is not below localhost.
	mark = " # hostless"
	// unended is appended to the block's first line if the file's last line had no
	// newline before the block was added.
	unended = " (the line above had no end)"
)

// line is a line of the file and its line ending.
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

// ours reports whether a line has the form of the block's lines, and returns its name.
func ours(l line) (string, bool) {
	text, marked := strings.CutSuffix(strings.TrimSpace(l.text), mark)
	fields := strings.Fields(text)
	if len(fields) != 2 || (fields[0] != "127.0.0.1" && fields[0] != "::1") {
		return "", false
	}
	return fields[1], marked || strings.HasSuffix(fields[1], appname.Suffix)
}

// Edit returns content with a block of exactly these host names, each with an IPv4 and an
// IPv6 line. Without names it removes the block. Lines that are not of the block's form
// stay as they are with their line endings, even inside the block.
//
// A block without an end line ends at the first line that is not of its form. Several
// blocks become one. If the last line of the file had no newline before the block was
// added, it has none again when the block is removed.
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
				tail = mark // the user may have such a line too: only marked lines are ours
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

// blockEnd returns the index of the block's last line.
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

// Names returns the names in the block, sorted; empty without a block.
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

// valid reports whether name is the canonical host name of an app, below localhost or
// below another domain.
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
