package detect

import (
	"encoding/json"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tool is one row of the flag table: a dev server that does not read PORT and HOST, and
// the flags that it takes instead.
type tool struct {
	// serves reports whether the arguments start a server: `vite build` gets no flags.
	serves func(f Files, dir string, args []string) bool
	port   []string // the words before the port's number; nil if place is used
	extra  []string // words to add with the port
	host   []string // the address flag and its value
	hosts  []string // further flags that set the address
	// socket, if not nil, returns flags that make the page open its WebSocket at the
	// page's own address instead of the port, whose Host the server would reject.
	socket func(f Files, dir string, args []string) []string
	// place, if not nil, returns all words for a tool that takes the port as an
	// argument, and found the port that the arguments already name.
	place func(args []string, port int) []string
	found func(args []string) (port int, ok bool)
	// wrap, if not nil, returns the words for a program that runs others. note returns a
	// note for the user about them.
	wrap func(f Files, dir string, args []string, port int) []string
	note func(words []string, given bool) []string
}

// tools is the flag table. Subcommands and flags are those of the tools' current
// versions.
var tools = map[string]tool{
	"vite":         {serves: unlessSub("build", "optimize", "create"), port: w("--port"), extra: w("--strictPort"), host: w("--host", loopback)},
	"vp":           {serves: sub("dev", "serve", "preview"), port: w("--port"), extra: w("--strictPort"), host: w("--host", loopback)},
	"react-router": {serves: sub("dev"), port: w("--port"), extra: w("--strictPort"), host: w("--host", loopback)},

	"rsbuild":      {serves: sub("", "dev", "preview"), port: w("--port"), host: w("--host", loopback)},
	"astro":        {serves: sub("dev", "preview"), port: w("--port"), host: w("--host", loopback)},
	"ng":           {serves: sub("serve", "s", "dev"), port: w("--port"), host: w("--host", loopback)},
	"nuxt":         {serves: sub("dev", "preview"), port: w("--port"), host: w("--host", loopback)},
	"remix":        {serves: sub("dev", "vite:dev"), port: w("--port"), host: w("--host", loopback)},
	"react-native": {serves: sub("start"), port: w("--port"), host: w("--host", loopback)},
	"vinext":       {serves: sub("dev", "start"), port: w("--port"), host: w("--host", loopback)},
	"vitepress":    {serves: sub("", "dev", "preview", "serve"), port: w("--port"), host: w("--host", loopback)},

	"expo":            {serves: sub("", "start"), port: w("--port"), host: w("--host", "localhost"), hosts: w("--tunnel", "--lan", "--localhost", "--offline", "-m")},
	"next":            {serves: sub("", "dev", "start"), port: w("-p"), host: w("-H", loopback)},
	"storybook":       {serves: sub("dev"), port: w("-p"), host: w("--host", loopback)},
	"start-storybook": {serves: always, port: w("-p"), host: w("--host", loopback)},
	"wrangler":        {serves: wranglerServes, port: w("--port"), host: w("--ip", loopback)},

	"uvicorn":     {serves: unlessFlag("--uds", "--fd"), port: w("--port"), host: w("--host", loopback)},
	"flask":       {serves: anyWord("run"), port: w("--port"), host: w("--host", loopback)},
	"manage.py":   {serves: sub("runserver"), place: djangoPlace, found: djangoFound},
	"rails":       {serves: sub("server", "s"), port: w("-p"), host: w("-b", loopback)},
	"php":         {serves: phpServes, place: phpPlace, found: phpFound},
	"artisan":     {serves: sub("serve"), port: w("--port"), host: w("--host", loopback)},
	"hugo":        {serves: sub("server", "serve"), port: w("-p"), host: w("--bind", loopback)},
	"http.server": {serves: always, place: httpServerPlace, found: httpServerFound},

	"fastapi":            {serves: sub("dev", "run"), port: w("--port"), host: w("--host", loopback)},
	"webpack":            {serves: sub("serve", "server", "s"), port: w("--port"), host: w("--host", loopback), socket: webpackSocket},
	"webpack-dev-server": {serves: always, port: w("--port"), host: w("--host", loopback), socket: webpackSocket},
	"vue-cli-service":    {serves: sub("serve"), port: w("--port"), host: w("--host", loopback)},
	"docusaurus":         {serves: sub("start", "serve"), port: w("--port"), host: w("--host", loopback)},
	"gatsby":             {serves: sub("develop", "serve"), port: w("-p"), host: w("-H", loopback)},
}

const loopback = "127.0.0.1"

// bins maps packages to the name of their program, and second names of programs to their
// row.
var bins = map[string]string{
	"@angular/cli": "ng", "@react-router/dev": "react-router", "@remix-run/dev": "remix", "@rsbuild/core": "rsbuild",
	"@react-native-community/cli": "react-native", "vite-plus": "vp", "nuxi": "nuxt", "@expo/cli": "expo", "@storybook/cli": "storybook",
	"@docusaurus/core": "docusaurus", "@vue/cli-service": "vue-cli-service", "webpack-cli": "webpack", "django-admin": "manage.py",
	"django": "manage.py", "sb": "storybook", "yarnpkg": "yarn",
	"@openai/codex": "codex", "@anthropic-ai/claude-code": "claude", "@google/gemini-cli": "gemini",
}

func w(words ...string) []string { return words }

type rule = func(f Files, dir string, args []string) bool

func always(Files, string, []string) bool { return true }

// onlyPrints reports whether the arguments have a flag with which a tool prints
// something and exits.
func onlyPrints(args []string) bool {
	for i, a := range args {
		switch a {
		case "--":
			return false
		case "-h": // with a value it is an address
			if i+1 == len(args) || strings.HasPrefix(args[i+1], "-") {
				return true
			}
		case "--help", "--version", "-v", "-V":
			return true
		}
	}
	return false
}

// subcommand returns the first argument that is neither a flag nor the value of a
// common flag, or "".
func subcommand(args []string) string {
	if words := positionals(args); len(words) > 0 {
		return words[0]
	}
	return ""
}

// positionals returns the arguments before a "--" that are neither flags nor the value
// of a common flag.
func positionals(args []string) (words []string) {
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		switch a := args[i]; {
		case slices.Contains(valuedFlags, a):
			if i+1 < len(args) && strings.HasPrefix(args[i+1], "-") {
				continue // `--host` without a value
			}
			i++
		case strings.HasPrefix(a, "-"):
			if i+1 < len(args) && (args[i+1] == "true" || args[i+1] == "false") {
				i++ // `--clearScreen false`
			}
		default:
			words = append(words, a)
		}
	}
	return words
}

// valuedFlags take a value in every tool of the table that has them.
var valuedFlags = w("-p", "--port", "-H", "--host", "--hostname", "--ip", "--bind", "-c", "--config", "-m", "--mode", "--env", "--root", "--cwd", "--project", "--app",
	"--base", "--logLevel", "--log-level", "--configLoader", "--configuration", "--outDir", "--filter", "--env-mode")

// sub returns a rule that accepts these subcommands. "" accepts no subcommand, or a
// directory in its place (`next ./site`).
func sub(names ...string) rule {
	return func(f Files, dir string, args []string) bool {
		got := subcommand(args)
		for _, name := range names {
			// A word without a dot or slash is a subcommand even if a directory has that name.
			if got == name || name == "" && strings.ContainsAny(got, "./") && f.isDir(absolute(dir, got)) {
				return true
			}
		}
		return false
	}
}

func unlessSub(names ...string) rule {
	return func(_ Files, _ string, args []string) bool {
		// At any position: whether a flag before it takes a value is not known.
		for _, word := range positionals(args) {
			if slices.Contains(names, word) {
				return false
			}
		}
		return true
	}
}

func unlessFlag(names ...string) rule {
	return func(_ Files, _ string, args []string) bool {
		for _, name := range names {
			if _, ok := flagValue(args, name); ok {
				return false
			}
		}
		return subcommand(args) != ""
	}
}

func anyWord(name string) rule {
	return func(_ Files, _ string, args []string) bool {
		for _, a := range args {
			if a == name {
				return true
			}
		}
		return false
	}
}

func wranglerServes(_ Files, _ string, args []string) bool {
	switch subcommand(args) {
	case "dev":
		return true
	case "pages":
		return len(args) > 1 && args[0] == "pages" && args[1] == "dev"
	}
	return false
}

// flagValue returns the value of `--name value` or `--name=value` (also `-p3000` and
// `-p=3000` for a short flag) before a literal "--". The value is "" if the flag is last
// or is followed by another flag.
func flagValue(args []string, name string) (value string, ok bool) {
	short := len(name) == 2
	for i, a := range args {
		if a == "--" {
			break
		}
		if a == name {
			if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				value = args[i+1]
			}
			return value, true
		}
		if v, found := strings.CutPrefix(a, name+"="); found {
			return v, true
		}
		if v, found := strings.CutPrefix(a, name); found && short && isPort(v) {
			return v, true
		}
	}
	return "", false
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && (n > 0 || s == "0")
}

func toPort(s string) int {
	n, _ := strconv.ParseUint(s, 10, 16)
	return int(n)
}

// givenPort returns the port that a tool's arguments already name.
func (t tool) givenPort(args []string) (port int, ok bool) {
	if t.found != nil {
		return t.found(args)
	}
	if v, found := flagValue(args, "--port"); found {
		return toPort(v), true
	}
	if v, found := flagValue(args, "-p"); found && isPort(v) {
		return toPort(v), true
	}
	return 0, false
}

// words returns the words that set the tool's port, and the address if the arguments do
// not name one.
func (t tool) words(args []string, port int) []string {
	if t.place != nil {
		return t.place(args, port)
	}
	words := append(append([]string{}, t.port...), strconv.Itoa(port))
	for _, extra := range t.extra {
		if _, ok := flagValue(args, extra); !ok {
			words = append(words, extra)
		}
	}
	names := append(w(t.host[0], "--host", "--hostname", "--binding"), t.hosts...)
	if value, _ := flagValue(args, "-h"); value != "" {
		names = append(names, "-h") // flask's and storybook's
	}
	for _, name := range names {
		if _, ok := flagValue(args, name); ok {
			return words
		}
	}
	return append(words, t.host...)
}

// webpackSocket returns flags of webpack-dev-server 4 and later. A page that connects to
// the port itself is refused as cross-origin (5.2.1), or blocked because the page is
// https.
func webpackSocket(f Files, dir string, args []string) []string {
	for _, a := range args {
		if strings.HasPrefix(a, "--client-web-socket-url") {
			return nil
		}
	}
	for at := dir; ; at = path.Dir(at) {
		if data, ok := f.read(path.Join(at, "node_modules/webpack-dev-server/package.json")); ok {
			var m struct{ Version string }
			_ = json.Unmarshal(data, &m)
			major, _, _ := strings.Cut(m.Version, ".")
			if n, err := strconv.Atoi(major); err != nil || n < 4 {
				return nil
			}
			return w("--client-web-socket-url-hostname", "0.0.0.0", "--client-web-socket-url-port", "0")
		}
		if at == "/" {
			return nil
		}
	}
}

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// Django: `runserver [options] [port | address:port]`.
func djangoPlace(_ []string, port int) []string { return w(address(port)) }

func djangoFound(args []string) (int, bool) {
	for _, a := range args {
		if isPort(a) {
			return toPort(a), true
		}
		if i := strings.LastIndexByte(a, ':'); i >= 0 && !strings.HasPrefix(a, "-") && isPort(a[i+1:]) {
			return toPort(a[i+1:]), true
		}
	}
	return 0, false
}

// PHP: `php -S address:port [-t root] [router.php]`; -t alone means the same
// server.
func phpServes(_ Files, _ string, args []string) bool {
	_, s := flagValue(args, "-S")
	_, t := flagValue(args, "-t")
	return s || t
}

func phpPlace(args []string, port int) []string {
	if len(args) > 0 && args[len(args)-1] == "-S" {
		return w(address(port))
	}
	return w("-S", address(port))
}

func phpFound(args []string) (int, bool) {
	v, ok := flagValue(args, "-S")
	if i := strings.LastIndexByte(v, ':'); ok && i >= 0 && isPort(v[i+1:]) {
		return toPort(v[i+1:]), true
	}
	return 0, false
}

// Python: `python -m http.server [--bind ADDRESS] [--directory DIR] [port]`.
func httpServerPlace(args []string, port int) []string {
	for _, name := range []string{"--bind", "-b"} {
		if _, ok := flagValue(args, name); ok {
			return w(strconv.Itoa(port))
		}
	}
	return w("--bind", loopback, strconv.Itoa(port))
}

func httpServerFound(args []string) (int, bool) {
	for i, a := range args {
		if isPort(a) && (i == 0 || args[i-1] == "--cgi" || !strings.HasPrefix(args[i-1], "-")) {
			return toPort(a), true
		}
	}
	return 0, false
}

// toolName returns the name of the row for a word of a command line: a program, a path to
// one, or a package with its version.
func toolName(word string) string {
	word = strings.TrimPrefix(word, "npm:")
	if i := strings.LastIndexByte(word, '@'); i > 0 && i > strings.LastIndexByte(word, '/') {
		word = word[:i] // vite@7, @angular/cli@18
	}
	if bin, ok := bins[word]; ok {
		return bin
	}
	// A path into a package, whose program may have a name such as bin.js.
	if i := strings.LastIndex(word, "node_modules/"); i >= 0 {
		parts := strings.Split(word[i+len("node_modules/"):], "/")
		pkg := parts[0]
		if strings.HasPrefix(pkg, "@") && len(parts) > 1 {
			pkg += "/" + parts[1]
		}
		if bin, ok := bins[pkg]; ok {
			return bin
		}
		if _, ok := tools[pkg]; ok && pkg != ".bin" {
			return pkg
		}
	}
	base := path.Base(word)
	if base == "manage.py" {
		return base
	}
	for _, ext := range []string{".js", ".mjs", ".cjs", ".cmd", ".py"} {
		base = strings.TrimSuffix(base, ext)
	}
	if bin, ok := bins[base]; ok {
		return bin
	}
	return base
}
