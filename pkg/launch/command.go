package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"unicode"

	"github.com/hostless/hostless/pkg/fault"
)

// The exit codes for a command that could not be run, as in a POSIX shell
// (XCU 2.8.2).
const (
	exitNotFound      = 127
	exitNotExecutable = 126
)

// shellSyntax are the characters that make a single argument a shell command.
const shellSyntax = " \t\n|&;<>()$`\\\"'*?[]#~{}!"

// shellWrap makes a shell run a single argument with shell syntax. Other arguments are
// returned unchanged, and so is a single argument that is the name of a file.
func shellWrap(args []string, dir string) []string {
	if len(args) != 1 || !strings.ContainsAny(args[0], shellSyntax) {
		return args
	}
	if strings.ContainsRune(args[0], '/') {
		path := args[0]
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if _, err := os.Stat(path); err == nil {
			return args
		}
	}
	return []string{"/bin/sh", "-c", args[0]}
}

// lookPath finds a program as execvp(3) does, with the PATH and working directory of
// the child, which differ from this process's. With an error it returns the exit code
// for it.
func lookPath(name, dir, path string) (file string, code int, err error) {
	if name == "" {
		return "", exitNotFound, fault.New(fault.Usage, "the command is empty")
	}
	if strings.ContainsRune(name, '/') {
		file = name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if code, err := checkExecutable(file); err != nil {
			return "", code, fault.New(fault.NotFound, fmt.Sprintf("%s: %v", name, err))
		}
		return file, 0, nil
	}
	code, err = exitNotFound, errors.New("command not found")
	for entry := range strings.SplitSeq(path, string(os.PathListSeparator)) {
		if entry == "" {
			entry = "." // POSIX: an empty entry is the working directory
		}
		if !filepath.IsAbs(entry) {
			entry = filepath.Join(dir, entry)
		}
		file := filepath.Join(entry, name)
		c, e := checkExecutable(file)
		if e == nil {
			return file, 0, nil
		}
		if c == exitNotExecutable {
			code, err = c, fmt.Errorf("%s: %w", file, e) // a later entry may be executable
		}
	}
	return "", code, fault.New(fault.NotFound, fmt.Sprintf("%s: %v", name, err))
}

func checkExecutable(file string) (code int, err error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return exitNotFound, errors.New("no such file")
	case err != nil:
		return exitNotExecutable, errors.New("permission denied")
	case info.IsDir():
		return exitNotExecutable, errors.New("is a directory")
	case !executable(file, info):
		return exitNotExecutable, errors.New("permission denied")
	}
	return 0, nil
}

// getenv returns a variable of an environment list. The last entry wins, as in os/exec.
func getenv(environ []string, name string) string {
	for i := len(environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

var (
	// plainWord matches words that need no quotes in a shell.
	plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)
	// secretName matches names of flags and variables whose values may be secret.
	secretName = regexp.MustCompile(`(?i)key|token|secret|passw|pwd|credential`)
	// userInfo matches the user information of a URL.
	userInfo = regexp.MustCompile(`://[^/@\s]+@`)
)

// maxCommand limits the length of a command line that is shown.
const maxCommand = 300

// shownCommand returns the command line of a run as listings, pages and errors show it:
// quoted for a shell, without values that look like secrets.
func shownCommand(args []string) string {
	if len(args) == 3 && args[0] == "/bin/sh" && args[1] == "-c" {
		return shorten(quoted(strings.Join(withoutSecrets(strings.Split(args[2], " ")), " ")))
	}
	words := withoutSecrets(args)
	for i, word := range words {
		words[i] = quoted(word)
	}
	return shorten(strings.Join(words, " "))
}

func withoutSecrets(args []string) []string {
	words := make([]string, len(args))
	for i, word := range args {
		name, _, assigns := strings.Cut(word, "=")
		switch {
		case i > 0 && strings.HasPrefix(args[i-1], "-") && !strings.Contains(args[i-1], "=") && secretName.MatchString(args[i-1]):
			word = "…"
		case assigns && secretName.MatchString(name):
			word = name + "=…"
		}
		words[i] = userInfo.ReplaceAllString(word, "://…@")
	}
	return words
}

// quoted quotes a word for a shell where it needs it.
func quoted(word string) string {
	if plainWord.MatchString(strings.ReplaceAll(word, "…", "")) || word == "…" {
		return word
	}
	if !strings.ContainsFunc(word, unicode.IsControl) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	var b strings.Builder // $'…' puts a word with line breaks on one line
	for _, r := range word {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\%03o`, r)
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(r)
		}
	}
	return "$'" + b.String() + "'"
}

func shorten(line string) string {
	if len(line) <= maxCommand {
		return line
	}
	return strings.ToValidUTF8(line[:maxCommand], "") + " …"
}
