package detect

import (
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
	s := &resolver{files: f}
	found, ok := s.resolve(dir, args)
	if !ok {
		p.Port = genericPortFlag(args)
		p.Notes = s.noteMissed()
		return p
	}
	t, known := tools[found.tool]
	if !known {
		t, known = taskRunners[found.tool]
	}
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
		if slices.Contains(multiRunners, found.tool) {
			s.missed = found.tool
		}
		p.Notes = s.noteMissed()
		return p
	}
	if onlyPrints(found.args) || !t.serves(f, found.dir, found.args) {
		p.Notes = s.noteMissed()
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
	switch {
	case t.wrap != nil:
		words = t.wrap(f, found.dir, found.args, port)
	case !ok:
		words = t.words(found.args, port)
	}
	if t.socket != nil {
		words = append(words, t.socket(f, found.dir, found.args)...)
	}
	line, fits := p.Args, true
	if len(words) > 0 {
		line, fits = found.insert(words)
	}
	switch {
	case t.note != nil:
		p.Notes = t.note(words, fits)
	case !fits && p.Port == 0:
		p.Notes = []string{cannotBeGiven(found.tool)}
	}
	if fits {
		p.Args = line
	}
	return p
}

func cannotBeGiven(tool string) string {
	return tool + " cannot be given its port through this command line: following the port that it opens"
}

// multiRunners start several commands, which are not looked into.
var multiRunners = w("concurrently", "npm-run-all", "npm-run-all2", "run-p", "run-s", "run-pty", "mprocs", "foreman", "overmind", "hivemind", "honcho", "nf", "lerna", "wireit", "moon")

// noteMissed says, once, that a server within the line gets no flags.
func (s *resolver) noteMissed() []string {
	switch {
	case s.missed == "":
		return nil
	case slices.Contains(multiRunners, s.missed):
		return []string{s.missed + " starts several commands, which get no flags: following the port that one of them opens (hostless run --all gives each app a name)"}
	}
	return []string{cannotBeGiven(s.missed)}
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
	files  Files
	depth  int
	missed string // a server that was seen where it can be given no flags
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
	text, _ := cutComment(line[2])
	found, ok := s.resolveScript(dir, text, nil)
	if !ok {
		return detectedTool{}, false
	}
	tail := found.tail
	found.insert = func(words []string) ([]string, bool) {
		more, ok := tail(words)
		return []string{line[0], line[1], text + " " + strings.Join(more, " ")}, ok
	}
	found.tail = func([]string) ([]string, bool) { return nil, false }
	return found, true
}

// resolveScript looks into a script's text with words appended to it: at its last
// command, which is what gets them.
func (s *resolver) resolveScript(dir, text string, more []string) (detectedTool, bool) {
	words, ok := lastCommand(text)
	if !ok {
		s.lookForServers(dir, text)
		return detectedTool{}, false
	}
	found, ok := s.resolve(dir, append(words, more...))
	if t, known := tools[found.tool]; !ok || !known || !t.serves(s.files, found.dir, found.args) {
		s.lookForServers(dir, text)
	}
	return found, ok
}

// lookForServers notes a server that a script starts, but not as the one command
// that could be given flags: `vite && echo done`, `vite | tee log`.
func (s *resolver) lookForServers(dir, text string) {
	for _, part := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune("&|;\n()", c) }) {
		words, ok := lastCommand(part)
		if !ok {
			continue
		}
		inner := &resolver{files: s.files, depth: s.depth}
		found, ok := inner.resolve(dir, words)
		if t, known := tools[found.tool]; ok && known && !onlyPrints(found.args) && t.serves(s.files, found.dir, found.args) {
			if _, given := t.givenPort(found.args); !given {
				s.missed = found.tool
				return
			}
		}
	}
}

// cutComment takes the comment off a script's end, to which nothing could be
// appended. cut reports whether there was one.
func cutComment(text string) (rest string, cut bool) {
	quote, start := byte(0), true
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\\':
			i++
		case c == '\'' || c == '"':
			quote = c
		case c == '#' && start:
			if !strings.Contains(text[i:], "\n") {
				return strings.TrimRight(text[:i], " \t"), true
			}
			i += strings.IndexByte(text[i:], '\n')
		}
		start = quote == 0 && i < len(text) && strings.IndexByte(" \t\n;&|(", text[i]) >= 0
	}
	return text, false
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
		case '|', '(', ')', '<', '>', '`', '{', '}':
			return nil, false
		case '#':
			if !in { // a comment
				end := strings.IndexByte(text[i:], '\n')
				if end < 0 {
					i = len(text)
				} else {
					i += end - 1 // the line's end is looked at next
				}
				continue
			}
			word.WriteByte(c)
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
