//go:build unix

package launch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/launch/detect"
	"github.com/hostless/hostless/pkg/procinfo"
)

const (
	// socketHintDelay is how long to wait for an app to open a port before looking for a
	// Unix socket.
	socketHintDelay = 5 * time.Second
	// pageHintDelay is how long after an app is ready its other ports are checked.
	pageHintDelay = time.Second
	// daemonizeLimit is the longest time between a server's start to listen and the end
	// of its first process if it turns itself into a daemon. A process that ends later
	// was interrupted.
	daemonizeLimit = 500 * time.Millisecond
)

// hintAtSocket prints, once, that the app listens on a Unix socket instead of a port.
func (a *supervisor) hintAtSocket() {
	if a.ending || a.listens {
		return
	}
	for _, path := range procinfo.UnixListeners(a.tree.Processes()) {
		if strings.HasSuffix(path, ".sock") || strings.HasSuffix(path, ".socket") {
			if !strings.HasPrefix(path, "/") {
				path = a.Dir + "/" + strings.TrimPrefix(path, "./")
			}
			a.note("the app listens on the Unix socket %s and on no port: make it listen on PORT, or start it without hostless run and add an alias for the socket: hostless alias %s unix:%[1]s", path, a.Name)
			return
		}
	}
}

// hintAtPage prints, once, that another server of the same command serves a page and the
// one on PORT does not, as with an API and its front end started by one script.
func (a *supervisor) hintAtPage(planned int) {
	if a.ending {
		return
	}
	answers := answersOf()
	var others []procinfo.Listener
	for _, l := range procinfo.Listeners(a.tree.Processes()) {
		if l.Port != planned && !slices.Contains(helperPorts, l.Port) && (l.Port < inspectorFirst || l.Port > inspectorLast) {
			others = append(others, l)
		}
	}
	if len(others) == 0 || answers(planned) == answersHTML {
		return
	}
	for _, l := range others {
		if answers(l.Port) == answersHTML {
			a.note("the app also opened port %d, which serves a page, unlike PORT: --app-port %[1]d makes %s lead there; hostless run --all gives each app a name", l.Port, a.lease.registered().URL)
			return
		}
	}
}

// hintAtForms returns a note for frameworks that refuse forms under https because their
// server sees http, with the setting that they need.
func (r *run) hintAtForms(tool, url string) string {
	if !strings.HasPrefix(url, "https://") {
		return ""
	}
	switch {
	case tool == "react-router":
		return fmt.Sprintf("React Router may refuse forms under https: open http://%s, or add it to allowedActionOrigins in react-router.config", strings.TrimPrefix(url, "https://"))
	case tool == "manage.py":
		return fmt.Sprintf(`Django refuses forms under https without SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") and CSRF_TRUSTED_ORIGINS = [%q] in its settings`, url)
	case tool == "vite" && detect.DependsOn(detect.System(), r.Dir, "@sveltejs/kit"):
		return fmt.Sprintf("SvelteKit refuses forms under https with vite dev: open http://%s, or add %q to csrf.trustedOrigins in svelte.config", strings.TrimPrefix(url, "https://"), url)
	}
	return ""
}
