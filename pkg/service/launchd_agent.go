package service

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	units "github.com/hostless/hostless/init"
)

// launchdLabel is the agent's label. The label for a second home has a suffix.
const launchdLabel = "dev.hostless." + Name

// agent contains the values of an installed agent. The zero value means none.
type agent struct {
	text, home, control, program string
	port                         int
	tcp                          []string // addresses
}

// listen returns the addresses on which launchd listens for the agent.
func (a agent) listen() []string { return append(slices.Clone(a.tcp), a.control) }

// path returns the path of the user's agent with this label.
func (l *launchd) path(label string) string {
	return filepath.Join(l.cfg.Getenv("HOME"), "Library", "LaunchAgents", label+".plist")
}

func (l *launchd) homeOf(label string) string { return l.readAgent(label).home }

// readAgent reads an installed agent. It returns the zero value for an agent that is not
// Hostless's.
func (l *launchd) readAgent(label string) (a agent) {
	data, err := os.ReadFile(l.path(label))
	if err != nil {
		return a
	}
	list, err := units.ParsePlist(data)
	if err != nil {
		return a
	}
	a.text = string(data)
	environment, _ := list["EnvironmentVariables"].(map[string]any)
	a.home, _ = environment["HOSTLESS_HOME"].(string)
	a.control, _ = environment["HOSTLESS_SOCKET"].(string)
	if arguments, _ := list["ProgramArguments"].([]any); len(arguments) > 0 {
		a.program, _ = arguments[0].(string)
	}
	sockets, _ := list["Sockets"].(map[string]any)
	for _, name := range []string{"http", "web"} {
		list, _ := sockets[name].([]any)
		for _, socket := range list {
			values, _ := socket.(map[string]any)
			host, _ := values["SockNodeName"].(string)
			port, _ := values["SockServiceName"].(string)
			a.tcp = append(a.tcp, net.JoinHostPort(host, port))
			if name == "http" {
				a.port, _ = strconv.Atoi(port)
			}
		}
	}
	return a
}

// render returns the agent's text.
func (l *launchd) render() (string, error) {
	for what, path := range map[string]string{"home": l.cfg.Paths.Home, "control socket": l.cfg.Paths.Socket, "program": l.cfg.Program} {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("the path of the %s cannot be used in an agent: %q", what, path)
		}
	}
	return units.RenderLaunchd(units.Launchd{
		Label: l.label, Program: l.cfg.Program, Home: l.cfg.Paths.Home, Control: l.cfg.Paths.Socket,
		Log: filepath.Join(l.cfg.Paths.Logs(), "hostlessd.log"), Port: l.cfg.Port, WebPorts: l.webPorts,
	})
}

// write replaces the agent's file atomically. launchd rejects a file that others can
// write.
func (l *launchd) write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".hostless-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
