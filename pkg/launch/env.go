package launch

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/launch/detect"
	"github.com/hostless/hostless/pkg/share"
)

// childEnv holds what is needed to build the child's environment.
type childEnv struct {
	port     int
	hostname string           // NAME.localhost
	url      string           // the app's URL
	gateway  string           // the gateway's root, without /v1 and without a slash
	token    string           // the bridge token, "" for none
	dir      string           // the child's working directory
	caCert   string           // path of the local CA's certificate if TLS is on, else ""
	bundle   string           // path of a file with the system's roots and the local CA, or ""
	portEnv  string           // another variable for the port, or ""
	run      string           // the value of runVariable: the run's pid and name
	piped    bool             // the command's output is not a terminal
	peers    []peer           // the apps of the project
	shares   []*share.Session // how others reach the app
	turbo    bool             // turbo may run tasks in the project
	ai       aiEnv
}

// build returns the child's environment, made from the shell's. changed and removed are
// the names of the shell's variables for AI SDKs whose values were changed or removed.
func (e childEnv) build(shell []string) (env, changed, removed []string) {
	set := newEnvironment(shell)
	set.put("PORT", strconv.Itoa(e.port))
	set.put("HOST", "127.0.0.1")
	if e.portEnv != "" {
		set.put(e.portEnv, strconv.Itoa(e.port))
	}
	set.put("HOSTLESS_URL", e.url)
	set.put(runVariable, e.run)
	for _, name := range append(slices.Collect(maps.Values(shareVariables)), "HOSTLESS_SHARE_URL") {
		set.drop(name) // of a run around this one
	}
	for _, s := range e.shares {
		set.putNew("HOSTLESS_SHARE_URL", s.URL.String())
		set.put(shareVariables[s.Way], s.URL.String())
	}
	set.put("HOSTLESS_API", e.gateway+"/v1")
	set.put("__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS", e.shown())
	e.frameworks(set)
	for _, p := range e.peers {
		set.put(p.variable, p.url)
	}
	set.put("PATH", binPath(e.dir, set.get("PATH")))
	if e.token != "" {
		set.put("HOSTLESS_TOKEN", e.token)
		changed, removed = e.ai.apply(set, e.gateway, e.token)
	} else {
		outer := set.get("HOSTLESS_TOKEN") // of an outer run, not for this app
		for _, name := range set.names {
			if set.get(name) == outer && bridgeToken(outer) {
				set.drop(name)
			}
		}
		set.drop("HOSTLESS_TOKEN")
	}
	if e.caCert != "" {
		set.putNew("NODE_EXTRA_CA_CERTS", e.caCert)
		set.putNew("DENO_CERT", e.caCert)
	}
	if e.bundle != "" {
		set.putNew("SSL_CERT_FILE", e.bundle)
		set.putNew("REQUESTS_CA_BUNDLE", e.bundle)
		set.putNew("CURL_CA_BUNDLE", e.bundle)
	}
	return set.list(), changed, removed
}

// frameworks sets variables for servers that need more than PORT, HOST and Vite's
// variable. It does not change variables that the shell has set.
func (e childEnv) frameworks(set *environment) {
	// Angular's server-side rendering (@angular/ssr) responds with 400 to hosts that are
	// not listed, and does not render if it does not trust the proxy's headers.
	allowed := strings.FieldsFunc(set.get("NG_ALLOWED_HOSTS"), func(c rune) bool { return c == ',' || c == ' ' })
	for _, host := range []string{e.hostname, e.shown()} {
		if !slices.Contains(allowed, host) {
			allowed = append(allowed, host)
		}
	}
	set.put("NG_ALLOWED_HOSTS", strings.Join(allowed, ","))
	set.putNew("NG_TRUST_PROXY_HEADERS", "x-forwarded-host,x-forwarded-proto,x-forwarded-port,x-forwarded-for")
	set.putNew("DENO_SERVE_ADDRESS", "tcp:127.0.0.1:"+strconv.Itoa(e.port)) // Deno.serve does not read PORT
	if e.turbo {
		set.putNew("TURBO_ENV_MODE", "loose") // its strict mode hides PORT and the token from its tasks
	}
	if e.piped {
		set.putNew("PYTHONUNBUFFERED", "1") // Python buffers its output to a pipe
	}
}

// shown returns the host name in the app's URL, which depends on the daemon's domains.
func (e childEnv) shown() string {
	if u, err := url.Parse(e.url); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return e.hostname
}

// peer is the variable with the URL of an app of the project, this app included.
type peer struct{ variable, url string }

// peersOf returns the variables with the URLs of a project's apps. own is the URL of the
// run with the host name hostname; the other URLs differ from it only in the name. A
// variable has the app's name within the project, which is the same in every worktree.
func peersOf(apps []detect.App, own, hostname string) (peers []peer) {
	shown := childEnv{url: own, hostname: hostname}.shown()
	suffix := strings.TrimPrefix(shown, strings.TrimSuffix(hostname, appname.Suffix)) // .localhost, .test
	for _, app := range apps {
		label := strings.ToUpper(strings.ReplaceAll(app.Label, "-", "_"))
		peers = append(peers, peer{"HOSTLESS_URL_" + label, strings.Replace(own, "://"+shown, "://"+app.Name+suffix, 1)})
	}
	return peers
}

// binPath puts the node_modules/.bin of the directory and of each of its ancestors before
// path, the nearest first, as npm does for scripts.
func binPath(dir, path string) string {
	have := map[string]bool{}
	for entry := range strings.SplitSeq(path, string(os.PathListSeparator)) {
		have[entry] = true
	}
	var entries []string
	for {
		bin := filepath.Join(dir, "node_modules", ".bin")
		if info, err := os.Stat(bin); err == nil && info.IsDir() && !have[bin] {
			entries = append(entries, bin)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	if path != "" {
		entries = append(entries, path)
	}
	return strings.Join(entries, string(os.PathListSeparator))
}

// environment is an ordered list of variables.
type environment struct {
	names  []string
	values map[string]string
}

func newEnvironment(list []string) *environment {
	e := &environment{values: map[string]string{}}
	for _, entry := range list {
		name, value, ok := strings.Cut(entry, "=")
		if ok && name != "" {
			e.put(name, value)
		}
	}
	return e
}

func (e *environment) get(name string) string { return e.values[name] }

func (e *environment) has(name string) bool {
	_, ok := e.values[name]
	return ok
}

func (e *environment) put(name, value string) {
	if !e.has(name) {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// putNew sets a variable unless it has a value.
func (e *environment) putNew(name, value string) {
	if e.get(name) == "" {
		e.put(name, value)
	}
}

func (e *environment) drop(name string) { delete(e.values, name) }

func (e *environment) list() []string {
	list := make([]string, 0, len(e.names))
	for _, name := range e.names {
		if value, ok := e.values[name]; ok {
			list = append(list, name+"="+value)
		}
	}
	return list
}
