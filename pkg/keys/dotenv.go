package keys

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/secret"
)

// The variables of keys.env, each followed by a provider's name and, for one of
// several keys, by ___ and the key's label.
const (
	varKey          = "HOSTLESS_KEY_"
	varReference    = "HOSTLESS_REF_"
	varBaseURL      = "HOSTLESS_BASE_URL_"
	varDialect      = "HOSTLESS_DIALECT_"
	varAllowPrivate = "HOSTLESS_ALLOW_PRIVATE_"
)

// envName gives a provider's name the form that a variable can have: upper case,
// `-` as `_` and `_` as `__`. So `my-llm` is MY_LLM and `my_llm` is MY__LLM.
func envName(provider string) string {
	return strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(provider, "_", "__"), "-", "_"))
}

// providerName is envName the other way. Whether the result is a provider's name
// is left to ValidProvider.
func providerName(env string) string {
	name := strings.ReplaceAll(strings.ToLower(env), "__", "\x00")
	return strings.ReplaceAll(strings.ReplaceAll(name, "_", "-"), "\x00", "_")
}

// variables are those prefixes.
var variables = []string{varKey, varReference, varBaseURL, varDialect, varAllowPrivate}

// labelMark stands between a provider's name and a label. In the variable form of
// a name, underscores come alone or in even numbers: an odd run of three or more
// ends in the mark.
const labelMark = "___"

// envSuffix is what follows a variable's prefix for an entry.
func envSuffix(k entryID) string {
	if k.label == "" {
		return envName(k.provider)
	}
	return envName(k.provider) + labelMark + envName(k.label)
}

// entryOf is envSuffix the other way. Whether the names are valid is left to
// validID.
func entryOf(suffix string) entryID {
	for i := 0; i < len(suffix); i++ {
		run := 0
		for i+run < len(suffix) && suffix[i+run] == '_' {
			run++
		}
		if run >= len(labelMark) && run%2 == 1 {
			at := i + run - len(labelMark)
			return entryID{providerName(suffix[:at]), providerName(suffix[at+len(labelMark):])}
		}
		i += max(0, run-1)
	}
	return entryID{provider: providerName(suffix)}
}

// line is one line of keys.env: an assignment of ours, or text that is kept.
type line struct {
	text  string  // as read, without its line end
	kind  string  // one of variables, or "" for text that is not ours
	entry entryID // whose it is
	value string
	bad   bool // not text at all: it is not written again
}

// envFile is a keys.env taken apart, so that it can be written again with its
// comments and foreign lines where they were.
type envFile struct {
	lines []line
}

// parseEnv takes keys.env apart. A line of ours that cannot be read is kept as
// text and reported in problems, which never quote a value; the others hold. Lines
// end in \n or \r\n. Values are bare, up to ` #`, or in single quotes, where
// nothing is special, or in double quotes, where \\ \" \n \r \t and \$ are.
func parseEnv(data []byte) (f envFile, problems []string) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) == 0 {
		return f, nil
	}
	for i, text := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		text = strings.TrimSuffix(text, "\r")
		l := line{text: text}
		name, rest, ours := assignment(text)
		if !isText(text) {
			problems = append(problems, fmt.Sprintf("line %d: it is not text", i+1))
			l.bad = true
		} else if ours {
			if err := l.read(name, rest); err != nil {
				problems = append(problems, fmt.Sprintf("line %d: %v", i+1, err))
				l = line{text: text}
			}
		} else if !foreign.MatchString(text) {
			problems = append(problems, fmt.Sprintf("line %d: it is neither an assignment nor a comment", i+1))
		}
		f.lines = append(f.lines, l)
	}
	return f, problems
}

// foreign is what a line that is not ours may be: blank, a comment, or an
// assignment of another variable.
var foreign = regexp.MustCompile(`^\s*(#.*|(export\s+)?[A-Za-z_][A-Za-z0-9_.]*\s*=.*)?$`)

// isText reports whether a line is text: what a crash or another program left in
// the file may be none.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// garbled reports whether lines are not text.
func (f envFile) garbled() bool {
	return slices.ContainsFunc(f.lines, func(l line) bool { return l.bad })
}

// unreadable reports whether data is no such file at all: nothing in it but lines
// that cannot be read.
func unreadable(data []byte) bool {
	f, problems := parseEnv(data)
	if len(problems) == 0 {
		return false
	}
	return !slices.ContainsFunc(f.lines, func(l line) bool {
		_, _, ours := assignment(l.text)
		return !l.bad && (l.kind != "" || ours || (foreign.MatchString(l.text) && strings.TrimSpace(l.text) != ""))
	})
}

// assignment splits a line that assigns to one of our variables, well or badly.
func assignment(text string) (name, value string, ours bool) {
	text = strings.TrimLeft(text, " \t")
	if rest, ok := strings.CutPrefix(text, "export"); ok && strings.TrimLeft(rest, " \t") != rest {
		text = strings.TrimLeft(rest, " \t")
	}
	if !strings.HasPrefix(text, "HOSTLESS_") {
		return "", "", false
	}
	name, value, found := strings.Cut(text, "=")
	name = strings.TrimRight(name, " \t")
	if !found {
		value = noValue
	}
	return name, value, ownVariable(name) != ""
}

// noValue stands for the value of an assignment without =.
const noValue = "\x00"

func ownVariable(name string) string {
	for _, v := range variables {
		if strings.HasPrefix(name, v) {
			return v
		}
	}
	return ""
}

// read makes the line an assignment.
func (l *line) read(name, value string) error {
	l.kind = ownVariable(name)
	l.entry = entryOf(strings.TrimPrefix(name, l.kind)) // upper case is what we write; a hand may have written lower
	if err := validID(l.entry); err != nil {
		return errors.New("its variable does not name a provider")
	}
	if value == noValue {
		return errors.New("it has no =")
	}
	var err error
	l.value, err = unquote(value)
	return err
}

// unquote reads a value.
func unquote(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	switch quote := s[0]; quote {
	case '\'':
		value, rest, ok := strings.Cut(s[1:], "'")
		if !ok {
			return "", fmt.Errorf("a quote is not closed")
		}
		return value, checkRest(rest)
	case '"':
		var b strings.Builder
		for i := 1; i < len(s); i++ {
			switch c := s[i]; {
			case c == '"':
				return b.String(), checkRest(s[i+1:])
			case c == '\\' && i+1 < len(s):
				i++
				switch s[i] {
				case 'n':
					b.WriteByte('\n')
				case 'r':
					b.WriteByte('\r')
				case 't':
					b.WriteByte('\t')
				case '\\', '"', '$', '`':
					b.WriteByte(s[i])
				default:
					b.WriteByte('\\')
					b.WriteByte(s[i])
				}
			default:
				b.WriteByte(c)
			}
		}
		return "", fmt.Errorf("a quote is not closed")
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			s = s[:i]
			break
		}
	}
	return strings.TrimSpace(s), nil
}

func checkRest(rest string) error {
	rest = strings.TrimSpace(rest)
	if rest != "" && !strings.HasPrefix(rest, "#") {
		return fmt.Errorf("there is text after the closing quote")
	}
	return nil
}

// quote writes a value so that unquote, and a shell, read it as it is.
func quote(s string) string {
	plain := s != ""
	for _, r := range s {
		plain = plain && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,", r))
	}
	switch {
	case plain:
		return s
	case !strings.Contains(s, "'"):
		return "'" + s + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(s) + `"`
}

// entries puts the assignments together, the last of each variable counting.
// Entries that fail their check are reported in problems and left out.
func (f envFile) entries() (map[entryID]Entry, []string) {
	out := map[entryID]Entry{}
	for _, l := range f.lines {
		if l.kind == "" {
			continue
		}
		e := out[l.entry]
		e.Provider, e.Label, e.Storage = l.entry.provider, l.entry.label, StorageFile
		switch l.kind {
		case varKey:
			e.Key = secret.New(l.value)
		case varReference:
			e.Reference = l.value
		case varBaseURL:
			e.BaseURL = l.value
		case varDialect:
			e.Dialect = l.value
		case varAllowPrivate:
			e.AllowPrivate = l.value == "1" || strings.EqualFold(l.value, "true")
		}
		out[l.entry] = e
	}
	var problems []string
	for _, k := range sortedIDs(out) {
		e, err := out[k].clean()
		if err != nil {
			problems = append(problems, fmt.Sprintf("provider %s: %v", k, err))
			delete(out, k)
			continue
		}
		out[k] = e
	}
	return out, problems
}

// put sets an entry's variables: in their old places where they have some, else
// at the end. Lines of it that are no longer needed go.
func (f envFile) put(e Entry) envFile {
	values := map[string]string{varKey: e.Key.Reveal(), varReference: e.Reference, varBaseURL: e.BaseURL, varDialect: e.Dialect}
	if e.Reference != "" {
		delete(values, varKey)
	}
	if e.AllowPrivate {
		values[varAllowPrivate] = "1"
	}
	return f.set(e.id(), values)
}

// remove takes an entry's variables out.
func (f envFile) remove(k entryID) envFile { return f.set(k, nil) }

func (f envFile) set(k entryID, values map[string]string) envFile {
	var out envFile
	done := map[string]bool{}
	assign := func(kind string) {
		done[kind] = true
		if v := values[kind]; v != "" {
			out.lines = append(out.lines, line{text: kind + envSuffix(k) + "=" + quote(v), kind: kind, entry: k, value: v})
		}
	}
	for _, l := range f.lines {
		switch {
		case l.entry == k && l.kind != "":
			if !done[l.kind] {
				assign(l.kind)
			}
		case l.bad, f.broken(l, k):
			// What is not text is kept aside; a line of this entry that could not be
			// read is replaced.
		default:
			out.lines = append(out.lines, l)
		}
	}
	for _, kind := range variables {
		if !done[kind] {
			assign(kind)
		}
	}
	return out
}

// broken reports whether a line that is kept as text assigns to the entry's
// variables all the same: left in, it would shadow what is set now once mended.
func (f envFile) broken(l line, k entryID) bool {
	name, _, ours := assignment(l.text)
	return l.kind == "" && ours && entryOf(strings.TrimPrefix(name, ownVariable(name))) == k
}

// holds reports whether the file says something of an entry, well or badly.
func (f envFile) holds(k entryID) bool {
	return slices.ContainsFunc(f.lines, func(l line) bool { return l.kind != "" && l.entry == k || f.broken(l, k) })
}

// text is the file without the lines that are not text.
func (f envFile) text() envFile {
	return envFile{slices.DeleteFunc(slices.Clone(f.lines), func(l line) bool { return l.bad })}
}

// bytes renders the file.
func (f envFile) bytes() []byte {
	var b bytes.Buffer
	for _, l := range f.lines {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
