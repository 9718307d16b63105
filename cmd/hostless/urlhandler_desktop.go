package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

const desktopFile = "hostless-url-handler.desktop"

// schemeTypes are the MIME types of the two schemes
// (https://specifications.freedesktop.org/shared-mime-info-spec, "URI scheme handlers").
var schemeTypes = []string{"x-scheme-handler/authmatic", "x-scheme-handler/hostless"}

// desktopPaths returns the paths of the desktop entry and of mimeapps.list
// (https://specifications.freedesktop.org/basedir-spec, mime-apps-spec).
func (e *env) desktopPaths() (entry, defaults string, err error) {
	if runtime.GOOS != "linux" {
		return "", "", &fault.Error{Kind: fault.Invalid, Message: "a URL handler cannot be installed on this system: docs/connect.md shows how to make one by hand"}
	}
	dir := func(variable, fallback string) (string, error) {
		if d := e.getenv(variable); filepath.IsAbs(d) {
			return d, nil
		}
		home := e.getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", usage("HOME is not set")
		}
		return filepath.Join(home, fallback), nil
	}
	data, err := dir("XDG_DATA_HOME", ".local/share")
	if err != nil {
		return "", "", err
	}
	config, err := dir("XDG_CONFIG_HOME", ".config")
	return filepath.Join(data, "applications", desktopFile), filepath.Join(config, "mimeapps.list"), err
}

func (e *env) urlHandlerInstall(*cli.Context) error {
	entry, defaults, err := e.desktopPaths()
	if err != nil {
		return err
	}
	self, err := e.self()
	if err != nil {
		return fmt.Errorf("where this program is: %w", err)
	}
	command := []string{self, "url-handler", "open"}
	for _, name := range []string{"HOSTLESS_SOCKET", "HOSTLESS_HOME"} {
		if value := e.getenv(name); value != "" { // not the default installation
			command = append([]string{name + "=" + value}, command...)
		}
	}
	if len(command) > 3 {
		command = append([]string{"env"}, command...)
	}
	for i, word := range command {
		command[i] = execWord(word)
	}
	text := "[Desktop Entry]\nType=Application\nName=Hostless\nComment=Connects web apps to the AI models of this machine\nNoDisplay=true\n" +
		"Exec=" + strings.Join(command, " ") + " %u\nMimeType=" + strings.Join(schemeTypes, ";") + ";\n"
	if err := replaceFile(entry, text); err != nil {
		return err
	}
	list, err := readText(defaults)
	if err != nil {
		return err
	}
	for _, kind := range schemeTypes {
		list = setDefault(list, kind, desktopFile)
	}
	if err := replaceFile(defaults, list); err != nil {
		return err
	}
	e.updateDesktop(filepath.Dir(entry))
	return e.printLine("authmatic: and hostless: links are opened with %s", self)
}

func (e *env) urlHandlerUninstall(*cli.Context) error {
	entry, defaults, err := e.desktopPaths()
	if err != nil {
		return err
	}
	list, err := readText(defaults)
	if err != nil {
		return err
	}
	kept := list
	for _, kind := range schemeTypes {
		kept = setDefault(kept, kind, "")
	}
	if kept != list {
		if err := replaceFile(defaults, kept); err != nil {
			return err
		}
	}
	switch err := os.Remove(entry); {
	case errors.Is(err, fs.ErrNotExist):
		e.note("There was no handler.")
		return nil
	case err != nil:
		return err
	}
	e.updateDesktop(filepath.Dir(entry))
	return e.printLine("authmatic: and hostless: links are no longer opened with Hostless")
}

// updateDesktop rebuilds the desktop's cache of entries, if it has one.
func (e *env) updateDesktop(dir string) {
	if path, err := e.lookPath("update-desktop-database"); err == nil {
		exec.Command(path, "-q", dir).Run() // without the cache the desktop reads the entries themselves
	}
}

// execWord quotes an argument of Exec= (Desktop Entry Specification, "The Exec key")
// twice: as an argument, and as a string value.
func execWord(word string) string {
	word = strings.ReplaceAll(word, "%", "%%")
	if !strings.ContainsAny(word, " \t\n\"'\\><~|&;$*?#()`") {
		return word
	}
	quoted := `"` + strings.NewReplacer(`"`, `\"`, "`", "\\`", `$`, `\$`, `\`, `\\`).Replace(word) + `"`
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`).Replace(quoted)
}

func readText(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

// replaceFile writes a file of the desktop atomically and keeps its mode.
func replaceFile(path, text string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path, dir = real, filepath.Dir(real)
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(dir, ".hostless-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// setDefault sets the default application of a type in mimeapps.list; "" removes ours.
// All other lines are kept.
func setDefault(text, kind, app string) string {
	const group = "[Default Applications]"
	var lines []string
	if text != "" {
		lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	}
	start := slices.IndexFunc(lines, func(l string) bool { return strings.TrimSpace(l) == group })
	if start < 0 {
		if app == "" {
			return text
		}
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		start = len(lines)
		lines = append(lines, group)
	}
	end := start + 1
	for end < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[end]), "[") {
		end++
	}
	at := -1
	for i := start + 1; i < end; i++ {
		if name, _, ok := strings.Cut(lines[i], "="); ok && strings.TrimSpace(name) == kind {
			at = i
		}
	}
	switch {
	case app == "" && at >= 0 && strings.Contains(lines[at], desktopFile):
		lines = slices.Delete(lines, at, at+1)
	case app == "":
		return text
	case at >= 0:
		lines[at] = kind + "=" + app
	default:
		lines = slices.Insert(lines, start+1, kind+"="+app)
	}
	return strings.Join(lines, "\n") + "\n"
}
