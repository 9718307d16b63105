package detect

import (
	"slices"
	"strings"
)

// Command is the result of Plan.
type Command struct {
	Args  []string // the command line with the tool's flags
	Port  int      // the port that the line already names, 0 for none
	Tool  string   // the row of the flag table, or the agent, that it starts; "" for none
	Notes []string // notes for the user
}

// Plan finds the tool that a command line starts, through package managers and scripts,
// and adds flags for the port and address if the tool does not read them from the
// environment. A port that the line already names is not changed but reported, for the
// route. With port 0 nothing is added.
//
// It only reads f and changes nothing.
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
	return tool + " cannot be given a port on this command line: Hostless uses the port that it opens"
}

// multiRunners start several commands, which are not resolved.
var multiRunners = w("concurrently", "npm-run-all", "npm-run-all2", "run-p", "run-s", "run-pty", "mprocs", "foreman", "overmind", "hivemind", "honcho", "nf", "lerna", "wireit", "moon")

// noteMissed returns a note if a server in the line gets no flags.
func (s *resolver) noteMissed() []string {
	switch {
	case s.missed == "":
		return nil
	case slices.Contains(multiRunners, s.missed):
		return []string{s.missed + " starts several commands, which get no flags: Hostless uses the port that one of them opens (hostless run --all gives each app a name)"}
	}
	return []string{cannotBeGiven(s.missed)}
}

// agents are programs that use a model and serve nothing.
var agents = w("claude", "codex", "gemini", "aider", "opencode")

// genericPortFlag returns the value of `--port` of a program that is not in the flag
// table, on which it probably listens.
func genericPortFlag(args []string) int {
	if v, ok := flagValue(args, "--port"); ok && isPort(v) {
		return toPort(v)
	}
	return 0
}

// detectedTool is a tool in a command line.
type detectedTool struct {
	tool    string
	args    []string // the tool's arguments
	dir     string   // the directory in which it runs
	envPort int      // PORT as set on the line
	// insert returns the whole line with words added for the tool.
	insert func(words []string) (line []string, ok bool)
	// tail returns what must be appended to the line so that the tool gets the words. It
	// is used for lines that can only be appended to, such as a script.
	tail func(words []string) (tail []string, ok bool)
}

// below converts a tool detected in line[n:] to one detected in line.
func (s detectedTool) below(line []string, n int) detectedTool {
	inner := s.insert
	head := line[:n:n]
	s.insert = func(words []string) ([]string, bool) {
		rest, ok := inner(words)
		return append(append([]string{}, head...), rest...), ok
	}
	return s
}

// resolver resolves a command line, wrapper by wrapper. Its depth is limited, since
// scripts may call themselves.
type resolver struct {
	files  Files
	depth  int
	missed string // a server to which no flags can be added
}

const maxDepth = 12

// resolve finds the tool that a command line starts.
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

// resolveAfter resolves the line without its first n words.
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

// direct returns a tool whose arguments begin at line[n].
func direct(name, dir string, line []string, n int) detectedTool {
	args := line[n:]
	at := len(line) // insert before a literal "--", which ends the tool's flags
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

// assignments counts the leading VAR=value words, and returns the PORT that they set.
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

// resolveShell resolves `sh -c 'text'`. Flags are appended to the text.
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

// resolveScript resolves the last command of a script's text, which gets the words that
// are appended to the text.
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

// lookForServers records a server that a script starts in a place where it cannot be
// given flags: `vite && echo done`, `vite | tee log`.
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

// cutComment removes the comment at the end of a script. cut reports whether there was
// one.
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

// lastCommand returns the words of a script's last command. ok is false if the script is
// more than commands joined by && or ;, or if a shell would expand, redirect or pipe
// something in the last command.
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
				return nil, false // it runs in the background, so there is no last command
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
					i += end - 1 // continue at the end of the line
				}
				continue
			}
			word.WriteByte(c)
		case '$', '*', '?', '[', ']', '~', '!', '\\':
			plain = false // its expansion is not known here
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
