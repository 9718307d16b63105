// Package units holds the service definitions that `hostless service install`
// writes and that packages install. It owns their text; filling it in for a user and
// installing it is pkg/service's business.
package units

import (
	"embed"
	"strings"
	"text/template"
)

//go:embed systemd
var files embed.FS

// Systemd are the values of the systemd units. Strings go in as systemd reads
// them, so the caller escapes what needs it (systemd.syntax(7)).
type Systemd struct {
	Name        string   // the units' common name: hostlessd
	Program     string   // ExecStart's first word
	Arguments   string   // the rest of ExecStart, with a leading space, or ""
	Environment []string // quoted assignments
	Port        int
	WebPorts    []int  // 80, and 443 with TLS, where they are wanted
	IPv6        bool   // whether [::1] exists on this machine
	Control     string // the control socket's path; may use specifiers such as %t
}

// Names are the systemd units' files, as Render takes them.
func Names() []string {
	return []string{"hostlessd-http.socket", "hostlessd-control.socket", "hostlessd.service"}
}

// Packaged are the values of the units that a package installs, which are every
// user's: paths below a home or a runtime directory are specifiers (systemd.unit(5)).
func Packaged(port int) Systemd {
	const control = "%t/hostless/control.sock"
	return Systemd{
		Name: "hostlessd", Program: "/usr/bin/hostlessd", Port: port, IPv6: true, Control: control,
		Environment: []string{"HOSTLESS_HOME=%h/.hostless", "HOSTLESS_SOCKET=" + control},
	}
}

// Render fills in a unit by its file name in this package, as "hostlessd.service".
func Render(name string, values Systemd) (string, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(files, "systemd/"+name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", err
	}
	return b.String(), nil
}
