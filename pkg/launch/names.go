//go:build unix

package launch

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/hosts"
)

// Timeouts for the system's resolver, and for the daemon to write the hosts file.
const (
	resolverTimeout = 2 * time.Second
	hostsSyncLimit  = 2 * time.Second
)

// checkName checks whether programs on this machine can resolve the app's name, which a
// server that calls itself or another app needs; browsers resolve it by themselves. If
// not, it writes the hosts file if hosts-sync is on, or returns a note.
func (r *run) checkName(ctx context.Context, host string) (note string) {
	if Resolves(ctx, host) {
		return ""
	}
	file := hosts.Locate("", func(name string) string { return getenv(r.Environ, name) })
	if !r.hostsSync(ctx) {
		if r.Label != "" && !r.First {
			return "" // the first app prints it
		}
		return "programs on this machine cannot resolve " + host + ", as browsers can: hostless hosts sync, or for all names from now on: hostless config set hosts-sync on"
	}
	for limit := time.Now().Add(hostsSyncLimit); ; {
		status, err := file.Status([]string{host})
		if err == nil && len(status.Missing) == 0 {
			return "" // the daemon has written the hosts file
		}
		if err != nil || time.Now().After(limit) || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(hostsSyncLimit / 20):
		}
	}
	names, err := r.allNames(ctx)
	if err == nil {
		if _, err = file.Sync(names); fault.Is(err, fault.Forbidden) && r.sudoSync(ctx, file, names) {
			err = nil
		}
	}
	if err != nil {
		return host + " is not in the hosts file, though hosts-sync is on: " + err.Error() + " (sudo hostless hosts sync --names " + strings.Join(names, ",") + ")"
	}
	return ""
}

// hostOf returns the host name in an app's URL.
func hostOf(got control.Registered) string {
	return childEnv{url: got.URL, hostname: got.Hostname}.shown()
}

// hostsSync reports whether the setting hosts-sync is on.
func (r *run) hostsSync(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, resolverTimeout)
	defer cancel()
	values, err := r.Client.Config(ctx)
	if err != nil {
		return false
	}
	var word string
	return json.Unmarshal(values[config.HostsSync], &word) == nil && word == "on"
}

// allNames returns the host names of all routes.
func (r *run) allNames(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, resolverTimeout)
	defer cancel()
	list, err := r.Client.Routes(ctx)
	if err != nil {
		return nil, err
	}
	return HostNames(list.Routes), nil
}

// HostNames returns the host names of routes, sorted, without wildcards, which a hosts
// file cannot hold.
func HostNames(routes []control.Route) []string {
	names := []string{}
	for _, route := range routes {
		if len(route.Hosts) == 0 { // from an older daemon
			route.Hosts = []string{route.Hostname}
		}
		for _, host := range route.Hosts {
			names = append(names, strings.TrimPrefix(host, "*."))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sudoSync writes the hosts file as root if sudo needs no password.
func (r *run) sudoSync(ctx context.Context, file hosts.File, names []string) bool {
	ctx, cancel := context.WithTimeout(ctx, hostsSyncLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sudo", "-n", "--", r.Self[0], "hosts", "sync", "--names", strings.Join(names, ","), "--file", file.Path)
	return os.Geteuid() != 0 && cmd.Run() == nil
}

// Resolves reports whether the system's resolver knows a host name. It runs getent, which
// uses the C library's resolver as other programs do; this program may use another one
// (nsswitch.conf(5)).
func Resolves(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, resolverTimeout)
	defer cancel()
	if getent, err := exec.LookPath("getent"); err == nil {
		return exec.CommandContext(ctx, getent, "hosts", host).Run() == nil
	}
	_, err := net.DefaultResolver.LookupHost(ctx, host)
	return err == nil
}
