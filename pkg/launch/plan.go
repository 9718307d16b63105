package launch

import (
	"fmt"
	"strings"
)

// plan is what a command line becomes.
type plan struct {
	args  []string // the command line with the tool's flags
	port  int      // the port that it names already, 0 for none
	tool  string   // the row that it was found in, "" for none
	notes []string // for people
}

// makePlan sees through package runners and scripts to the tool that will
// serve, and gives it port and address where it would not take them from the
// environment. A port that the line names already is left alone and reported:
// it becomes the route's. With port 0 the line is only looked at.
//
// It is pure: it reads f and changes nothing.
func makePlan(f files, dir string, args []string, port int) plan {
	p := plan{args: args}
	found, ok := (&seer{files: f}).see(dir, args)
	if !ok {
		p.port = looseport(args)
		return p
	}
	t, known := tools[found.tool]
	if !known {
		if p.port = looseport(found.args); p.port == 0 {
			p.port = found.envPort
		}
		return p
	}
	if asksOnly(found.args) || !t.serves(f, found.dir, found.args) {
		return p
	}
	p.tool = found.tool
	given, ok := t.givenPort(found.args)
	if ok {
		p.port = given
	}
	if port == 0 {
		return p
	}
	var words []string
	if !ok {
		words = t.words(found.args, port)
	}
	if t.socket != nil {
		words = append(words, t.socket(f, found.dir, found.args)...)
	}
	if len(words) == 0 {
		return p
	}
	line, ok := found.insert(words)
	switch {
	case ok:
		p.args = line
	case p.port == 0:
		p.notes = append(p.notes, fmt.Sprintf("%s cannot be given its port through this command line: following the port that it opens", found.tool))
	}
	return p
}

// looseport is `--port` of a program that is in no row: likely where it listens.
func looseport(args []string) int {
	if v, ok := flagValue(args, "--port"); ok && isPort(v) {
		return toPort(v)
	}
	return 0
}

// sighted is a tool within a command line.
type sighted struct {
	tool    string
	args    []string // all that the tool is given
	dir     string   // where it runs
	envPort int      // PORT as the line itself sets it
	// insert makes the whole line with words for the tool.
	insert func(words []string) (line []string, ok bool)
	// tail gives what must be appended to the line for the tool to get the
	// words: for lines that only grow at their end, as a script's.
	tail func(words []string) (tail []string, ok bool)
}

// below makes what was seen in line[n:] something seen in line.
func (s sighted) below(line []string, n int) sighted {
	inner := s.insert
	head := line[:n:n]
	s.insert = func(words []string) ([]string, bool) {
		rest, ok := inner(words)
		return append(append([]string{}, head...), rest...), ok
	}
	return s
}

// seer walks a command line inwards. It stops at a depth: scripts may call
// themselves.
type seer struct {
	files files
	depth int
}

const maxDepth = 12

// see finds the tool of a command line.
func (s *seer) see(dir string, line []string) (sighted, bool) {
	if s.depth++; s.depth > maxDepth || len(line) == 0 {
		return sighted{}, false
	}
	name := toolName(line[0])
	if n, port := assignments(line); n > 0 {
		return s.seeAfter(dir, line, n, port)
	}
	if n, inner, ok := wrapped(name, line); ok {
		found, ok := s.seeAfter(inner.in(dir), line, n, 0)
		return found, ok
	}
	switch name {
	case "sh", "bash", "zsh", "dash":
		return s.seeShell(dir, line)
	case "npm", "pnpm", "yarn", "bun", "npx", "pnpx", "bunx", "corepack":
		return s.seeManager(name, dir, line)
	}
	return direct(name, dir, line, 1), true
}

// seeAfter looks behind the first n words.
func (s *seer) seeAfter(dir string, line []string, n, port int) (sighted, bool) {
	if n >= len(line) {
		return sighted{}, false
	}
	found, ok := s.see(dir, line[n:])
	if !ok {
		return found, false
	}
	if found.envPort == 0 {
		found.envPort = port
	}
	return found.below(line, n), true
}

// direct is a tool whose arguments begin at line[n].
func direct(name, dir string, line []string, n int) sighted {
	args := line[n:]
	at := len(line) // before a literal "--", which ends the tool's flags
	for i, a := range args {
		if a == "--" {
			at = n + i
			break
		}
	}
	return sighted{
		tool: name, args: args, dir: dir,
		insert: func(words []string) ([]string, bool) {
			out := append(append([]string{}, line[:at]...), words...)
			return append(out, line[at:]...), true
		},
		tail: func(words []string) ([]string, bool) { return words, at == len(line) },
	}
}

// assignments counts leading VAR=value words and reads PORT from them.
func assignments(line []string) (n, port int) {
	for _, word := range line {
		name, value, ok := strings.Cut(word, "=")
		if !ok || !isVariable(name) {
			break
		}
		if name == "PORT" && isPort(value) {
			port = toPort(value)
		}
		n++
	}
	return n, port
}

func isVariable(name string) bool {
	for i, c := range []byte(name) {
		if !(c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return name != ""
}

// seeShell looks into `sh -c 'text'`: the text grows at its end.
func (s *seer) seeShell(dir string, line []string) (sighted, bool) {
	if len(line) != 3 || line[1] != "-c" {
		return sighted{}, false
	}
	found, ok := s.seeScript(dir, line[2], nil)
	if !ok {
		return sighted{}, false
	}
	tail := found.tail
	found.insert = func(words []string) ([]string, bool) {
		more, ok := tail(words)
		return []string{line[0], line[1], line[2] + " " + strings.Join(more, " ")}, ok
	}
	found.tail = func([]string) ([]string, bool) { return nil, false }
	return found, true
}

// seeScript looks into a script's text with words appended to it: at its last
// command, which is what gets them.
func (s *seer) seeScript(dir, text string, more []string) (sighted, bool) {
	words, ok := lastCommand(text)
	if !ok {
		return sighted{}, false
	}
	return s.see(dir, append(words, more...))
}

// lastCommand splits a script into words, as far as it is plain: commands
// joined by && or ; of words, some in quotes. Anything that a shell would
// expand, redirect or pipe in the last command is not plain.
func lastCommand(text string) (words []string, ok bool) {
	var word strings.Builder
	in := false
	flush := func() {
		if in {
			words = append(words, word.String())
		}
		word.Reset()
		in = false
	}
	text = strings.TrimSpace(text)
	plain := true
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t':
			flush()
		case ';', '\n':
			flush()
			words, plain = nil, true
		case '&':
			if i+1 >= len(text) || text[i+1] != '&' {
				return nil, false // runs in the background: no last command
			}
			i++
			flush()
			words, plain = nil, true
		case '\'', '"':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return nil, false
			}
			part := text[i+1 : i+1+end]
			if c == '"' && strings.ContainsAny(part, "$`\\") {
				plain = false
			}
			word.WriteString(part)
			in = true
			i += end + 1
		case '|', '(', ')', '<', '>', '`', '{', '}', '#':
			return nil, false
		case '$', '*', '?', '[', ']', '~', '!', '\\':
			plain = false // expands to what is not known here
			word.WriteByte(c)
			in = true
		default:
			word.WriteByte(c)
			in = true
		}
	}
	flush()
	return words, plain && len(words) > 0
}
