package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// envFile is a .env file of which single values can be replaced; everything else stays
// byte for byte.
type envFile struct {
	path  string // its path, symbolic links resolved
	shown string // the path that the user knows
	mode  fs.FileMode
	lines []string // with their line endings
}

// assignment is one `NAME=value` of a .env file.
type assignment struct {
	name, value string
	line        int
	begin, end  int // of the value in its line, without quotes
}

// maxEnvFile limits the size of a .env file, in bytes.
const maxEnvFile = 1 << 20

// readEnvFile reads a .env file. It follows symbolic links: write changes the file
// that they lead to.
func readEnvFile(path string) (*envFile, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Size() > maxEnvFile:
		return nil, fmt.Errorf("%s is too long for a .env file", path)
	}
	data, err := os.ReadFile(real)
	if err != nil {
		return nil, err
	}
	return &envFile{path: real, shown: path, mode: info.Mode().Perm(), lines: strings.SplitAfter(string(data), "\n")}, nil
}

var envLine = regexp.MustCompile(`^(?:\xef\xbb\xbf)?[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*`)

// bareEnd is where a value without quotes ends; it always matches.
var bareEnd = regexp.MustCompile(`[ \t]+#|[ \t]*$`)

// assignments returns the file's variables. A value of several lines is left out,
// since no key has any.
func (f *envFile) assignments() (all []assignment) {
	for i, line := range f.lines {
		m := envLine.FindStringSubmatchIndex(line)
		if m == nil {
			continue
		}
		a := assignment{name: line[m[2]:m[3]], line: i, begin: m[1]}
		rest := strings.TrimRight(line[a.begin:], "\r\n")
		switch {
		case rest == "":
			continue
		case rest[0] == '"' || rest[0] == '\'' || rest[0] == '`':
			n := strings.IndexByte(rest[1:], rest[0])
			if n < 0 {
				continue
			}
			a.begin++
			a.end = a.begin + n
		default:
			rest = rest[:bareEnd.FindStringIndex(rest)[0]]
			a.end = a.begin + len(rest)
		}
		a.value = line[a.begin:a.end]
		all = append(all, a)
	}
	return all
}

// set replaces a value.
func (f *envFile) set(a assignment, value string) {
	line := f.lines[a.line]
	f.lines[a.line] = line[:a.begin] + value + line[a.end:]
}

// insert adds an assignment after another one's line, in the same style.
func (f *envFile) insert(after assignment, name, value string) {
	line := f.lines[after.line]
	end := line[len(strings.TrimRight(line, "\r\n")):]
	if end == "" {
		end = "\n"
		f.lines[after.line] = line + end
	}
	prefix := ""
	if strings.HasPrefix(strings.TrimLeft(line, " \t\xef\xbb\xbf"), "export") {
		prefix = "export "
	}
	f.lines = slices.Insert(f.lines, after.line+1, prefix+name+"="+value+end)
}

// write replaces the file atomically and keeps its mode.
func (f *envFile) write() (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(f.path), ".hostless-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
			err = fmt.Errorf("write %s: %w", f.shown, err)
		}
	}()
	if _, err = tmp.WriteString(strings.Join(f.lines, "")); err != nil {
		return err
	}
	if err = tmp.Chmod(f.mode); err != nil {
		return err
	}
	if err = errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), f.path)
}

// envDepth is how many directories deep .env files are searched for.
const envDepth = 5

// findEnvFiles finds .env and .env.* below a directory, except example files and those
// in hidden directories or node_modules.
func findEnvFiles(dir string) (paths []string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // skip what cannot be read
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return nil
		}
		name := d.Name()
		if d.IsDir() {
			if strings.HasPrefix(name, ".") || name == "node_modules" || strings.Count(rel, string(filepath.Separator)) >= envDepth {
				return fs.SkipDir
			}
			return nil
		}
		if name == ".env" || strings.HasPrefix(name, ".env.") {
			for _, word := range []string{"example", "sample", "template"} {
				if strings.Contains(name, word) {
					return nil
				}
			}
			paths = append(paths, rel)
		}
		return nil
	})
	return paths
}
