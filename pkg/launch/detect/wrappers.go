package detect

import (
	"path"
	"slices"
	"strings"
)

// inner has the directory in which a wrapped command runs.
type inner struct{ dir string }

func (i inner) in(dir string) string {
	if i.dir == "" {
		return dir
	}
	return absolute(dir, i.dir)
}

// wrapped returns how many words precede the command that a program runs from its
// arguments: `env A=b vite`, `python -m flask run`, `node node_modules/.bin/next`.
func wrapped(name string, line []string) (n int, in inner, ok bool) {
	if strings.HasPrefix(name, "python") || name == "py" || name == "pypy3" {
		name = "python"
	}
	args := line[1:]
	switch name {
	case "env", "cross-env", "cross-env-shell":
		return after(args, w("-u", "-C", "--unset", "--chdir")), in, true
	case "nohup", "time", "exec", "command", "setsid", "stdbuf":
		return after(args, nil), in, true
	case "nice":
		return after(args, w("-n")), in, true
	case "dotenv", "env-cmd":
		return after(args, w("-e", "-f", "-p", "-v", "-c", "--file", "--environments", "-r")), in, true
	case "dotenvx", "doppler", "op", "infisical", "mise", "fnm", "volta", "asdf", "rtx", "chamber", "aws-vault", "sops":
		return afterDashes(args, w("run", "exec", "x"))
	case "direnv": // direnv exec DIR cmd
		if len(args) > 2 && args[0] == "exec" {
			return 3, inner{args[1]}, true
		}
	case "uv", "poetry", "pipenv", "pdm", "rye", "hatch":
		if sub := indexOf(args, "run"); sub >= 0 {
			n := after(args[sub+1:], w("-p", "--python", "--with", "--env-file", "--group", "--extra", "--package", "--project", "--directory", "--with-requirements"))
			return sub + 1 + n, in, true
		}
	case "bundle":
		if len(args) > 1 && args[0] == "exec" {
			return 2, in, true
		}
	case "ruby":
		if len(args) > 0 && path.Base(args[0]) == "rails" {
			return 1, in, true
		}
	case "python":
		return wrappedPython(args)
	case "node", "nodejs", "deno", "tsx":
		return wrappedNode(name, args)
	case "php":
		if len(args) > 0 && path.Base(args[0]) == "artisan" {
			return 1, in, true
		}
	}
	return 0, in, false
}

// after counts the program, its flags with their values, and one "--". It does not count
// assignments.
func after(args []string, valued []string) int {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--":
			return i + 2
		case slices.Contains(valued, a):
			i++
		case !strings.HasPrefix(a, "-"):
			return i + 1
		}
	}
	return len(args) + 1
}

// afterDashes counts the words up to a "--", else those up to the end of a subcommand and
// its flags.
func afterDashes(args []string, subs []string) (int, inner, bool) {
	if i := slices.Index(args, "--"); i >= 0 {
		return i + 2, inner{}, true
	}
	if len(args) > 1 && slices.Contains(subs, args[0]) {
		return 1 + after(args[1:], w("-f", "--env-file", "--env")), inner{}, true
	}
	return 0, inner{}, false
}

func indexOf(args []string, word string) int {
	for i, a := range args {
		if a == word {
			return i
		}
		if !strings.HasPrefix(a, "-") {
			break
		}
	}
	return -1
}

// wrappedPython handles `python -m module` and `python manage.py`.
func wrappedPython(args []string) (int, inner, bool) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-m" && i+1 < len(args):
			return i + 2, inner{}, true
		case a == "-W" || a == "-X":
			i++
		case strings.HasPrefix(a, "-"):
		case path.Base(a) == "manage.py":
			return i + 1, inner{}, true
		default:
			return 0, inner{}, false
		}
	}
	return 0, inner{}, false
}

// wrappedNode handles `node …/bin/vite` and `deno run npm:vite`, but not a script of the
// project that happens to have the name of a tool.
func wrappedNode(name string, args []string) (int, inner, bool) {
	skip := 0
	if name == "deno" {
		if len(args) == 0 || args[0] != "run" {
			return 0, inner{}, false
		}
		skip = 1
	}
	n := skip + after(args[skip:], w("-r", "--require", "--import", "--loader", "--env-file", "-C", "--conditions", "-c", "--config"))
	if n > len(args) {
		return 0, inner{}, false
	}
	script := args[n-1]
	parent := path.Base(path.Dir(script))
	own := strings.HasPrefix(script, "npm:") || strings.Contains(script, "node_modules/") || parent == "bin" || parent == ".bin"
	return n, inner{}, own
}
