package main

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestNextStepsExist checks that every command which an error, a page or a note
// tells the user to type exists.
func TestNextStepsExist(t *testing.T) {
	later := map[string]bool{"unlock": true} // errors about the keychain name it
	tree := (&env{}).commands()
	command := regexp.MustCompile(`(?:^|[\s(` + "`" + `])hostless ([a-z]+)(?: ([a-z-]+))?`)
	prose := map[string]bool{"finds": true, "is": true, "nor": true, "alone": true}
	seen := 0
	for _, root := range []string{"../../pkg", "."} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := goparser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					return true
				}
				for _, m := range command.FindAllStringSubmatch(text, -1) {
					if prose[m[1]] || later[m[1]] {
						continue
					}
					seen++
					cmd := find(tree, m[1])
					if cmd == nil {
						if m[1] != "shop" { // the name of an app, in an example
							t.Errorf("%s: there is no command %q: %s", path, m[1], text)
						}
						continue
					}
					if m[2] != "" && !isFlag(m[2]) && len(cmd.Subcommands) > 0 && find(cmd.Subcommands, m[2]) == nil {
						t.Errorf("%s: %s has no subcommand %q: %s", path, m[1], m[2], text)
					}
					if len(cmd.Subcommands) == 0 && cmd.ArgsUsage == "" && cmd.Name != runCommand && strings.HasSuffix(text, m[0]+" ") {
						t.Errorf("%s: %s takes no argument: %s", path, m[1], text)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found: the search is broken", seen)
	}
}
