package keys

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/secret"
)

// The variables of keys.env, each followed by a provider's name.
const (
	varKey          = "HOSTLESS_KEY_"
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

// line is one line of keys.env: an assignment of ours, or text that is kept.
type line struct {
	text     string // as read, without its line end
	kind     string // one of the var constants, or "" for text that is not ours
	provider string
	value    string
}

// envFile is a keys.env taken apart, so that it can be written again with its
// comments and foreign lines where they were.
type envFile struct {
	lines []line
}

// parseEnv takes keys.env apart. A line of ours that cannot be read is kept as
// text and told in problems, which never quote a value; the others hold. Lines
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
		if ours {
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

// ruined reports whether data is no such file at all: not text, or nothing in it
// but lines that cannot be read.
func ruined(data []byte) bool {
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return true
	}
	f, problems := parseEnv(data)
	if len(problems) == 0 {
		return false
	}
	return !slices.ContainsFunc(f.lines, func(l line) bool {
		_, _, ours := assignment(l.text)
		return l.kind != "" || ours || (foreign.MatchString(l.text) && strings.TrimSpace(l.text) != "")
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
	for _, v := range []string{varKey, varBaseURL, varDialect, varAllowPrivate} {
		if strings.HasPrefix(name, v) {
			return v
		}
	}
	return ""
}

// read makes the line an assignment.
func (l *line) read(name, value string) error {
	l.kind = ownVariable(name)
	l.provider = providerName(strings.TrimPrefix(name, l.kind))
	// Upper case is what we write; a hand may have written lower.
	if err := ValidProvider(l.provider); err != nil {
		return errors.New("its variable names no provider")
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
// Entries that fail their check are told in problems and left out.
func (f envFile) entries() (map[string]Entry, []string) {
	out := map[string]Entry{}
	for _, l := range f.lines {
		if l.kind == "" {
			continue
		}
		e := out[l.provider]
		e.Provider, e.Storage = l.provider, StorageFile
		switch l.kind {
		case varKey:
			e.Key = secret.New(l.value)
		case varBaseURL:
			e.BaseURL = l.value
		case varDialect:
			e.Dialect = l.value
		case varAllowPrivate:
			e.AllowPrivate = l.value == "1" || strings.EqualFold(l.value, "true")
		}
		out[l.provider] = e
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(out)) {
		e, err := out[name].clean()
		if err != nil {
			problems = append(problems, fmt.Sprintf("provider %s: %v", name, err))
			delete(out, name)
			continue
		}
		out[name] = e
	}
	return out, problems
}

// put sets a provider's variables: in their old places where they have some,
// else at the end. Lines of it that are no longer needed go.
func (f envFile) put(e Entry) envFile {
	values := map[string]string{varKey: e.Key.Reveal(), varBaseURL: e.BaseURL, varDialect: e.Dialect}
	if e.AllowPrivate {
		values[varAllowPrivate] = "1"
	}
	return f.set(e.Provider, values)
}

// remove takes a provider's variables out.
func (f envFile) remove(provider string) envFile { return f.set(provider, nil) }

func (f envFile) set(provider string, values map[string]string) envFile {
	var out envFile
	done := map[string]bool{}
	assign := func(kind string) {
		done[kind] = true
		if v := values[kind]; v != "" {
			out.lines = append(out.lines, line{
				text: kind + envName(provider) + "=" + quote(v), kind: kind, provider: provider, value: v,
			})
		}
	}
	for _, l := range f.lines {
		switch {
		case l.provider == provider && l.kind != "":
			if !done[l.kind] {
				assign(l.kind)
			}
		case f.broken(l, provider):
			// A line of this provider that could not be read is replaced.
		default:
			out.lines = append(out.lines, l)
		}
	}
	for _, kind := range []string{varKey, varBaseURL, varDialect, varAllowPrivate} {
		if !done[kind] {
			assign(kind)
		}
	}
	return out
}

// broken reports whether a line that is kept as text assigns to the provider's
// variables all the same: left in, it would shadow what is set now once mended.
func (f envFile) broken(l line, provider string) bool {
	name, _, ours := assignment(l.text)
	return l.kind == "" && ours && providerName(strings.TrimPrefix(name, ownVariable(name))) == provider
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
