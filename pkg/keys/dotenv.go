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

// Variables in keys.env. Each prefix is followed by a provider's name and, for one of
// several keys, by ___ and the key's label.
const (
	varKey          = "HOSTLESS_KEY_"
	varReference    = "HOSTLESS_REF_"
	varBaseURL      = "HOSTLESS_BASE_URL_"
	varDialect      = "HOSTLESS_DIALECT_"
	varAllowPrivate = "HOSTLESS_ALLOW_PRIVATE_"
)

// envName converts a provider's name to the form in a variable: upper case, `-` as `_`
// and `_` as `__`. So `my-llm` becomes MY_LLM and `my_llm` becomes MY__LLM.
func envName(provider string) string {
	return strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(provider, "_", "__"), "-", "_"))
}

// providerName is the inverse of envName. The result may be invalid; see ValidProvider.
func providerName(env string) string {
	name := strings.ReplaceAll(strings.ToLower(env), "__", "\x00")
	return strings.ReplaceAll(strings.ReplaceAll(name, "_", "-"), "\x00", "_")
}

// variables lists the prefixes.
var variables = []string{varKey, varReference, varBaseURL, varDialect, varAllowPrivate}

// labelMark separates a provider's name from a label. In the variable form of a name,
// underscores are single or come in even numbers, so an odd run of three or more ends in
// the mark.
const labelMark = "___"

// envSuffix returns the part of an entry's variables after the prefix.
func envSuffix(k entryID) string {
	if k.label == "" {
		return envName(k.provider)
	}
	return envName(k.provider) + labelMark + envName(k.label)
}

// entryOf is the inverse of envSuffix. The names may be invalid; see validID.
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

// line is one line of keys.env: an assignment of ours, or text that is kept as it is.
type line struct {
	text  string  // as read, without the line end
	kind  string  // one of variables, or "" for text that is not ours
	entry entryID // the entry that it belongs to
	value string
	bad   bool // not text; it is dropped when the file is written
}

// envFile is a parsed keys.env that can be written again with its comments and foreign
// lines in place.
type envFile struct {
	lines []line
}

// parseEnv parses keys.env. Invalid lines of ours are kept as text and reported in
// problems, which never contain a value; the other lines stay valid.
//
// Lines end in \n or \r\n. A value is unquoted, and ends at ` #`; or it is in single
// quotes, without escapes; or in double quotes, with the escapes \\ \" \n \r \t and \$.
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

// foreign matches a line that is not ours: blank, a comment, or an assignment to another
// variable.
var foreign = regexp.MustCompile(`^\s*(#.*|(export\s+)?[A-Za-z_][A-Za-z0-9_.]*\s*=.*)?$`)

// isText reports whether a line is text. A crash or another program may have left other
// data in the file.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// garbled reports whether any line is not text.
func (f envFile) garbled() bool {
	return slices.ContainsFunc(f.lines, func(l line) bool { return l.bad })
}

// unreadable reports whether data contains only lines that cannot be parsed.
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

// assignment splits a line that assigns to one of our variables, even if it is malformed.
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

// noValue is the value of an assignment without =.
const noValue = "\x00"

func ownVariable(name string) string {
	for _, v := range variables {
		if strings.HasPrefix(name, v) {
			return v
		}
	}
	return ""
}

// read parses the line as an assignment.
func (l *line) read(name, value string) error {
	l.kind = ownVariable(name)
	l.entry = entryOf(strings.TrimPrefix(name, l.kind)) // written in upper case by us, perhaps in lower case by a person
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

// unquote parses a value.
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

// quote formats a value so that unquote, and a shell, parse it to the same value.
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

// entries combines the assignments into entries. The last assignment of a variable takes
// precedence. Invalid entries are left out and reported in problems.
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

// put sets an entry's variables: in place if it has some, or else at the end. Its
// obsolete lines are removed.
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

// remove removes an entry's variables.
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
			// Lines that are not text are in the copy kept aside. A malformed line of
			// this entry is replaced.
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

// broken reports whether a malformed line assigns to one of the entry's variables. If it
// stayed and were corrected later, it would override the new value.
func (f envFile) broken(l line, k entryID) bool {
	name, _, ours := assignment(l.text)
	return l.kind == "" && ours && entryOf(strings.TrimPrefix(name, ownVariable(name))) == k
}

// holds reports whether the file contains lines of an entry, valid or malformed.
func (f envFile) holds(k entryID) bool {
	return slices.ContainsFunc(f.lines, func(l line) bool { return l.kind != "" && l.entry == k || f.broken(l, k) })
}

// text returns the file without the lines that are not text.
func (f envFile) text() envFile {
	return envFile{slices.DeleteFunc(slices.Clone(f.lines), func(l line) bool { return l.bad })}
}

// bytes formats the file.
func (f envFile) bytes() []byte {
	var b bytes.Buffer
	for _, l := range f.lines {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
