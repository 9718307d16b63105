// Package units contains the service definitions that `hostless service install` writes
// and that packages install. It owns their text; pkg/service fills it in for a user and
// installs it.
package units

import (
	"embed"
	"strings"
	"text/template"
)

//go:embed systemd
var files embed.FS

// Systemd contains the values of the systemd units. Strings are inserted as they are, so
// the caller must escape them (systemd.syntax(7)).
type Systemd struct {
	Name        string   // common beginning of the units' names: hostlessd
	Program     string   // first word of ExecStart
	Arguments   string   // the rest of ExecStart, with a leading space, or ""
	Environment []string // quoted assignments
	Port        int
	WebPorts    []int  // 80, and 443 with TLS, if requested
	IPv6        bool   // whether [::1] exists on this machine
	Control     string // path of the control socket; may contain specifiers such as %t
}

// Names returns the file names of the systemd units, for Render.
func Names() []string {
	return []string{"hostlessd-http.socket", "hostlessd-control.socket", "hostlessd.service"}
}

// Packaged returns the values of the units that a package installs for all users: paths
// below a home or a runtime directory are specifiers (systemd.unit(5)).
func Packaged(port int) Systemd {
	const control = "%t/hostless/control.sock"
	return Systemd{
		Name: "hostlessd", Program: "/usr/bin/hostlessd", Port: port, IPv6: true, Control: control,
		Environment: []string{"HOSTLESS_HOME=%h/.hostless", "HOSTLESS_SOCKET=" + control},
	}
}

// Render returns the text of a unit. Its file name in this package is, for example,
// "hostlessd.service".
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
