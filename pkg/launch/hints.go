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
	// socketHintDelay is how long an app that opens no port may take until it is looked
	// for a Unix socket.
	socketHintDelay = 5 * time.Second
	// pageHintDelay is how long after an app is ready its other ports are looked at.
	pageHintDelay = time.Second
	// daemonizeLimit is how long a server that turns itself into a daemon may take, from
	// where it listens, until its first process ends. One that ends later was interrupted.
	daemonizeLimit = 500 * time.Millisecond
)

// hintAtSocket says, once, that the app listens on a Unix socket instead of a port.
func (a *supervisor) hintAtSocket() {
	if a.ending || a.listens {
		return
	}
	for _, path := range procinfo.UnixListeners(a.tree.Processes()) {
		if strings.HasSuffix(path, ".sock") || strings.HasSuffix(path, ".socket") {
			if !strings.HasPrefix(path, "/") {
				path = a.Dir + "/" + strings.TrimPrefix(path, "./")
			}
			a.note("the app listens on the Unix socket %s and on no port: have it listen on PORT, or start it without hostless run and give its socket the name: hostless alias %s unix:%[1]s", path, a.Name)
			return
		}
	}
}

// hintAtPage says, once, that another server of the same command shows a page, where the
// one on PORT does not: an API and its front end started by one script.
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
			a.note("the app opened port %d too, which shows a page, where PORT does not: --app-port %[1]d leads %s there; hostless run --all gives each app a name", l.Port, a.lease.registered().URL)
			return
		}
	}
}

// hintAtForms says which frameworks refuse forms under https, because their server sees
// http, and what they need.
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
