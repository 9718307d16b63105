package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/hosts"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/service"
	"github.com/urfave/cli/v2"
)

func doctorGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "doctor", Usage: "check this installation, and print the command that fixes each problem",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "security", Usage: "check the claims of docs/auth-and-security.md on this installation"},
			&cli.BoolFlag{Name: "json", Usage: "print the findings as JSON"},
		},
		Description: "Exit code 1 where something is broken. It changes nothing.",
	}, 0, 0, e.doctor)
}

// The verdicts of a finding.
const (
	fine    = "ok"
	warning = "warn"
	broken  = "fail"
)

// finding is the result of one check.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"` // ok, warn, fail
	Detail  string `json:"detail"`
	Fix     string `json:"fix,omitempty"` // the command that fixes it
}

// examination collects findings.
type examination struct {
	e        *env
	ctx      context.Context
	paths    config.Paths
	status   *control.Status // nil without a daemon
	routes   []control.Route
	findings []finding
}

func (x *examination) add(check, verdict, fix, format string, args ...any) {
	x.findings = append(x.findings, finding{check, verdict, fmt.Sprintf(format, args...), fix})
}

func (e *env) doctor(cc *cli.Context) error {
	if cc.Bool("security") {
		return e.doctorSecurity(cc)
	}
	paths, err := e.paths()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cc.Context, 30*time.Second)
	defer cancel()
	x := &examination{e: e, ctx: ctx, paths: paths}
	for _, look := range []func(){x.daemon, x.sockets, x.service, x.port, x.files, x.keys, x.routing, x.sharing, x.names, x.hostsBlock, x.authority, x.clock, x.shell} {
		look()
	}
	sick := 0
	for _, f := range x.findings {
		if f.Verdict == broken {
			sick++
		}
	}
	if e.line.json {
		err = e.result(struct {
			Healthy  bool      `json:"healthy"`
			Findings []finding `json:"findings"`
		}{sick == 0, x.findings})
	} else {
		err = e.showFindings(x.findings)
	}
	if err == nil && sick > 0 {
		err = exitError(1)
	}
	return err
}

func (e *env) showFindings(findings []finding) error {
	found := map[string]int{}
	for _, f := range findings {
		found[f.Verdict]++
	}
	text := e.layOut(findings) + fmt.Sprintf("\n%s, %s\n", count(found[broken], "failure"), count(found[warning], "warning"))
	_, err := io.WriteString(e.out, text)
	return err
}

// leastDetail is the minimum width for a finding's detail next to its check.
const leastDetail = 30

// layOut formats findings as rows of verdict, check and detail. Where the terminal is too
// narrow for that, the detail is below the check.
func (e *env) layOut(findings []finding) string {
	colours := map[string]string{fine: green, warning: yellow, broken: red}
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	const verdict = 6
	indent, limit := verdict+width+2, e.columns(e.out)
	below := limit-indent < leastDetail
	if below {
		indent = verdict
	}
	for _, f := range findings {
		head := e.paint(e.out, colours[f.Verdict], fmt.Sprintf("%-4s", f.Verdict)) + "  "
		lines := wrap(cell(f.Detail), limit-indent)
		if below {
			fmt.Fprintf(&b, "%s%s\n", head, f.Check)
		} else {
			fmt.Fprintf(&b, "%s%-*s  %s\n", head, width, f.Check, lines[0])
			lines = lines[1:]
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "%*s%s\n", indent, "", line)
		}
		if f.Fix != "" { // a command is not wrapped, so that it can be copied
			fmt.Fprintf(&b, "%*s→ %s\n", indent, "", cell(f.Fix))
		}
	}
	return b.String()
}

func (x *examination) daemon() {
	client, err := x.e.client()
	if err == nil {
		defer client.CloseIdle()
		var s control.Status
		if s, err = client.Status(x.ctx); err == nil {
			x.status = &s
			if list, err := client.Routes(x.ctx); err == nil {
				x.routes = list.Routes
			}
		}
	}
	if err != nil {
		f := x.e.explain(x.ctx, fault.From(err))
		x.add("daemon", broken, f.Next, "%s", f.Message)
		return
	}
	x.add("daemon", fine, "", "hostlessd %s, pid %d, since %s, on %s", x.status.Version, x.status.PID, x.status.StartedAt.Local().Format("2006-01-02 15:04"), x.paths.Socket)
	if x.status.Version == x.e.version {
		x.add("version", fine, "", "client and daemon are %s", x.e.version)
	} else {
		fix := "hostless stop && hostless proxy start"
		if x.status.Activation != "self" {
			fix = x.serviceUpdate()
		}
		x.add("version", warning, fix, "the client is %s, the daemon %s", x.e.version, x.status.Version)
	}
	for _, w := range x.status.Warnings {
		x.add("daemon", warning, "", "%s", w)
	}
}

// serviceUpdate returns the command that brings the login service to this client's
// version: a restart where its units start the daemon that was installed with this
// client, as after a package's upgrade, else an installation.
func (x *examination) serviceUpdate() string {
	program, err := x.e.daemonBinary()
	if err != nil {
		return "hostless service install"
	}
	m, err := x.e.manager(x.ctx, "", 0)
	if err != nil {
		return "hostless service install"
	}
	s, err := m.Status(x.ctx)
	if err != nil || s.Program != program {
		return "hostless service install"
	}
	return "hostless service restart"
}

// sockets checks the mode of the control socket, which keeps other users out.
func (x *examination) sockets() {
	info, err := os.Stat(x.paths.Socket)
	if err != nil {
		return // reported by the daemon check
	}
	dir := filepath.Dir(x.paths.Socket)
	above, err := os.Stat(dir)
	switch {
	case info.Mode()&os.ModeSocket == 0:
		x.add("sockets", broken, "rm "+x.paths.Socket, "%s is not a socket", x.paths.Socket)
	case info.Mode().Perm()&0o077 != 0:
		x.add("sockets", broken, "chmod 600 "+x.paths.Socket, "other users of this machine can reach %s", x.paths.Socket)
	case err != nil || above.Mode().Perm()&0o022 != 0:
		x.add("sockets", broken, "chmod 700 "+dir, "other users of this machine can replace the socket in %s", dir)
	default:
		x.add("sockets", fine, "", "only you can access %s", x.paths.Socket)
	}
}

func (x *examination) service() {
	m, err := x.e.manager(x.ctx, "", 0)
	if err != nil {
		x.add("service", warning, "", "%s: the daemon does not start by itself", fault.From(err).Message)
		return
	}
	s, err := m.Status(x.ctx)
	switch {
	case err != nil:
		x.add("service", warning, "", "the service manager does not report the state of the service: %v", err)
	case !s.Installed:
		x.add("service", warning, "hostless service install", "no login service is installed: the daemon does not start by itself")
	case s.Program != "" && !executable(s.Program):
		x.add("service", broken, "hostless service install", "the service's unit starts %s, which does not exist: nothing can start the daemon", s.Program)
	case !s.Listening:
		x.add("service", broken, "hostless service start", "the login service is installed, but its sockets are closed")
	default:
		x.add("service", fine, "", "installed, sockets open")
	}
	if err == nil && s.Installed && m.EndsWithSession(x.ctx) {
		x.add("linger", warning, service.LingerCommand, "%s", endsAtLogout)
	}
}

// files looks for files that other users of this machine could read.
func (x *examination) files() {
	entries, err := os.ReadDir(x.paths.Home)
	if errors.Is(err, fs.ErrNotExist) {
		x.add("files", fine, "", "%s is created when the daemon first starts", x.paths.Home)
		return
	}
	if err != nil {
		x.add("files", warning, "", "the Hostless home cannot be read: %v", err)
		return
	}
	var open, aside []string
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue
		}
		if info.Mode()&os.ModeSocket == 0 && info.Mode().Perm()&0o077 != 0 {
			open = append(open, entry.Name())
		}
		if strings.Contains(entry.Name(), ".corrupt-") {
			aside = append(aside, entry.Name())
		}
	}
	if info, err := os.Stat(x.paths.Home); err == nil && info.Mode().Perm()&0o077 != 0 {
		open = append(open, ".")
	}
	if len(open) > 0 {
		x.add("files", broken, "chmod -R go= "+x.paths.Home, "other users of this machine can read files in %s: %s", x.paths.Home, strings.Join(open, ", "))
	} else {
		x.add("files", fine, "", "only you can access %s", x.paths.Home)
	}
	if len(aside) > 0 {
		x.add("files", warning, "", "files that could not be parsed and were kept aside: %s", strings.Join(aside, ", "))
	}
}

func (x *examination) keys() {
	if x.status == nil {
		return
	}
	names := []string{}
	for _, p := range x.status.Providers {
		names = append(names, p.Provider)
	}
	if len(names) == 0 {
		x.add("keys", warning, "hostless keys add openai", "no provider has a key: only echo/text answers")
		return
	}
	x.add("keys", fine, "", "%s", strings.Join(names, ", "))
}

func (x *examination) hostsBlock() {
	file := hosts.Locate("", x.e.getenv)
	s, err := file.Status(launch.HostNames(x.routes))
	switch {
	case err != nil:
		x.add("hosts", warning, "", "%s", fault.From(err).Message)
	case len(s.Names) == 0:
		x.add("hosts", fine, "", "%s has no names of Hostless: only programs that ask the system's resolver, such as Safari, need them", s.Path)
	case x.status == nil:
		x.add("hosts", fine, "", "%s has %s", s.Path, count(len(s.Names), "name"))
	case len(s.Stale) > 0:
		x.add("hosts", warning, "hostless hosts sync", "%s has names that are no longer served: %s", s.Path, strings.Join(s.Stale, ", "))
	case len(s.Missing) > 0:
		x.add("hosts", warning, "hostless hosts sync", "%s lacks %s", s.Path, strings.Join(s.Missing, ", "))
	case !s.Synced:
		x.add("hosts", warning, "hostless hosts sync", "the block in %s is damaged", s.Path)
	default:
		x.add("hosts", fine, "", "%s has %s", s.Path, count(len(s.Names), "name"))
	}
}

func (x *examination) authority() {
	cert, err := certs.Load(x.paths.Home)
	if err != nil {
		if x.status != nil && x.status.TLS {
			x.add("certificates", broken, "hostless stop && hostless proxy start --https", "https is on, but the local authority cannot be read: %v", err)
		}
		return // plain http needs no certificate
	}
	if left := time.Until(cert.NotAfter); left < 30*24*time.Hour {
		x.add("certificates", warning, "", "the local authority expires in %d days and is then replaced", int(left.Hours()/24))
	}
	results, err := certs.Trust{Dir: x.paths.Home, Getenv: x.e.getenv, Look: x.e.lookPath}.Status(x.ctx)
	if err != nil {
		x.add("certificates", warning, "", "%v", err)
	}
	for _, r := range results {
		if r.State == certs.Trusted {
			x.add("certificates", fine, "", "%s trusts the local authority", r.Path)
			continue
		}
		detail := fmt.Sprintf("%s: %s", r.Path, r.State)
		if r.Detail != "" {
			detail += ": " + r.Detail
		}
		x.add("certificates", warning, "hostless trust", "%s", detail)
	}
}

// clock looks for a clock that was set back: certificates and tokens depend on it.
func (x *examination) clock() {
	now := time.Now()
	latest := time.Time{}
	if self, err := x.e.self(); err == nil {
		if info, err := os.Stat(self); err == nil {
			latest = info.ModTime()
		}
	}
	if files, err := filepath.Glob(filepath.Join(x.paths.Home, "*.json")); err == nil {
		for _, file := range files {
			if info, err := os.Stat(file); err == nil && info.ModTime().After(latest) {
				latest = info.ModTime()
			}
		}
	}
	if x.status != nil && x.status.StartedAt.After(latest) {
		latest = x.status.StartedAt
	}
	if latest.After(now.Add(5 * time.Minute)) {
		fix := "sudo timedatectl set-ntp true"
		if runtime.GOOS == "darwin" {
			fix = "sudo sntp -sS time.apple.com"
		}
		x.add("clock", broken, fix, "the clock says %s, but a file or the daemon here is from %s", now.Format(time.RFC3339), latest.Format(time.RFC3339))
		return
	}
	x.add("clock", fine, "", "%s", now.Format(time.RFC3339))
}

// shell looks for provider keys that every program of this shell can read.
func (x *examination) shell() {
	found := []string{}
	for _, kv := range x.e.environ() {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasSuffix(name, "_API_KEY") && value != "" && !strings.HasPrefix(value, "sk_local_") {
			found = append(found, name)
		}
	}
	if len(found) > 0 {
		slices.Sort(found)
		fix := "unset " + strings.Join(found, " ")
		if p := provider.Default().Get(strings.ToLower(strings.TrimSuffix(found[0], "_API_KEY"))); p != nil {
			fix = "hostless keys add " + p.Name + " && " + fix
		}
		x.add("shell", warning, fix, "every program of this shell can read %s: store the keys in Hostless and remove them from the shell's environment", strings.Join(found, ", "))
	}
}
