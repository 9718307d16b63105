package detect

import (
	"fmt"
	"slices"
	"strings"
)

// Command is what a command line becomes.
type Command struct {
	Args  []string // the command line with the tool's flags
	Port  int      // the port that it names already, 0 for none
	Tool  string   // the row of the flag table that it was found in, or an agent; "" for none
	Notes []string // for people
}

// Plan looks through package runners and scripts for the tool that will serve,
// and gives it port and address where it would not take them from the
// environment. A port that the line names already is left alone and reported:
// it becomes the route's. With port 0 the line is only looked at.
//
// It is pure: it reads f and changes nothing.
func Plan(f Files, dir string, args []string, port int) Command {
	p := Command{Args: args}
	found, ok := (&resolver{files: f}).resolve(dir, args)
	if !ok {
		p.Port = genericPortFlag(args)
		return p
	}
	t, known := tools[found.tool]
	if !known && slices.Contains(agents, found.tool) {
		if found.tool != "codex" || codexRuns(found.args) {
			p.Tool = found.tool
		}
		return p
	}
	if !known {
		if p.Port = genericPortFlag(found.args); p.Port == 0 {
			p.Port = found.envPort
		}
		return p
	}
	if onlyPrints(found.args) || !t.serves(f, found.dir, found.args) {
		return p
	}
	p.Tool = found.tool
	given, ok := t.givenPort(found.args)
	if ok {
		p.Port = given
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
		p.Args = line
	case p.Port == 0:
		p.Notes = append(p.Notes, fmt.Sprintf("%s cannot be given its port through this command line: following the port that it opens", found.tool))
	}
	return p
}

// agents are programs that talk to a model and serve nothing.
var agents = w("claude", "codex", "gemini", "aider")

// genericPortFlag is `--port` of a program that is in no row: likely where it listens.
func genericPortFlag(args []string) int {
	if v, ok := flagValue(args, "--port"); ok && isPort(v) {
		return toPort(v)
	}
	return 0
}

// detectedTool is a tool within a command line.
type detectedTool struct {
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
func (s detectedTool) below(line []string, n int) detectedTool {
	inner := s.insert
	head := line[:n:n]
	s.insert = func(words []string) ([]string, bool) {
		rest, ok := inner(words)
		return append(append([]string{}, head...), rest...), ok
	}
	return s
}

// resolver walks a command line inwards. It stops at a depth: scripts may call
// themselves.
type resolver struct {
	files Files
	depth int
}

const maxDepth = 12

// see finds the tool of a command line.
func (s *resolver) resolve(dir string, line []string) (detectedTool, bool) {
	if s.depth++; s.depth > maxDepth || len(line) == 0 {
		return detectedTool{}, false
	}
	name := toolName(line[0])
	if n, port := assignments(line); n > 0 {
		return s.resolveAfter(dir, line, n, port)
	}
	if n, inner, ok := wrapped(name, line); ok {
		found, ok := s.resolveAfter(inner.in(dir), line, n, 0)
		return found, ok
	}
	switch name {
	case "sh", "bash", "zsh", "dash":
		return s.resolveShell(dir, line)
	case "npm", "pnpm", "yarn", "bun", "npx", "pnpx", "bunx", "corepack":
		return s.resolveManager(name, dir, line)
	}
	return direct(name, dir, line, 1), true
}

// resolveAfter looks behind the first n words.
func (s *resolver) resolveAfter(dir string, line []string, n, port int) (detectedTool, bool) {
	if n >= len(line) {
		return detectedTool{}, false
	}
	found, ok := s.resolve(dir, line[n:])
	if !ok {
		return found, false
	}
	if found.envPort == 0 {
		found.envPort = port
	}
	return found.below(line, n), true
}

// direct is a tool whose arguments begin at line[n].
func direct(name, dir string, line []string, n int) detectedTool {
	args := line[n:]
	at := len(line) // before a literal "--", which ends the tool's flags
	for i, a := range args {
		if a == "--" {
			at = n + i
			break
		}
	}
	return detectedTool{
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

// resolveShell looks into `sh -c 'text'`: the text grows at its end.
func (s *resolver) resolveShell(dir string, line []string) (detectedTool, bool) {
	if len(line) != 3 || line[1] != "-c" {
		return detectedTool{}, false
	}
	found, ok := s.resolveScript(dir, line[2], nil)
	if !ok {
		return detectedTool{}, false
	}
	tail := found.tail
	found.insert = func(words []string) ([]string, bool) {
		more, ok := tail(words)
		return []string{line[0], line[1], line[2] + " " + strings.Join(more, " ")}, ok
	}
	found.tail = func([]string) ([]string, bool) { return nil, false }
	return found, true
}

// resolveScript looks into a script's text with words appended to it: at its last
// command, which is what gets them.
func (s *resolver) resolveScript(dir, text string, more []string) (detectedTool, bool) {
	words, ok := lastCommand(text)
	if !ok {
		return detectedTool{}, false
	}
	return s.resolve(dir, append(words, more...))
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
