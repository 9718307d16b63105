package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/hosts"
	"github.com/urfave/cli/v2"
)

func doctorGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "doctor", Usage: "look for what is wrong with this installation, and say what mends it",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the findings as JSON"}},
		Description: "Exit code 1 where something is broken. It changes nothing.",
	}, 0, 0, e.doctor)
}

// The verdicts of a finding.
const (
	fine   = "ok"
	doubt  = "warn"
	broken = "fail"
)

// finding is one thing that was looked at.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"` // ok, warn, fail
	Detail  string `json:"detail"`
	Fix     string `json:"fix,omitempty"` // the command to type
}

// examination gathers findings.
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
	paths, err := e.paths()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cc.Context, 30*time.Second)
	defer cancel()
	x := &examination{e: e, ctx: ctx, paths: paths}
	for _, look := range []func(){x.daemon, x.service, x.port, x.files, x.keys, x.routing, x.names, x.hostsBlock, x.authority, x.clock, x.shell} {
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
	rows := make([][2]string, 0, 2*len(findings))
	for _, f := range findings {
		rows = append(rows, [2]string{f.Verdict + "  " + f.Check, f.Detail})
		if f.Fix != "" {
			rows = append(rows, [2]string{"", "→ " + f.Fix})
		}
	}
	return e.pairs(rows)
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
		f := fault.From(err)
		x.add("daemon", broken, f.Next, "%s", f.Message)
		return
	}
	x.add("daemon", fine, "", "hostlessd %s, pid %d, since %s, on %s", x.status.Version, x.status.PID, x.status.StartedAt.Local().Format("2006-01-02 15:04"), x.paths.Socket)
	if x.status.Version != x.e.version {
		fix := "hostless stop && hostless proxy start"
		if x.status.Activation == "systemd" {
			fix = "hostless service install"
		}
		x.add("version", doubt, fix, "the client is %s, the daemon %s", x.e.version, x.status.Version)
	}
	for _, w := range x.status.Warnings {
		x.add("daemon", doubt, "", "%s", w)
	}
}

func (x *examination) service() {
	m, err := x.e.manager(x.ctx, "", 0)
	if err != nil {
		x.add("service", doubt, "", "%s: the daemon does not start by itself", fault.From(err).Message)
		return
	}
	s, err := m.Status(x.ctx)
	switch {
	case err != nil:
		x.add("service", doubt, "", "the service manager does not say how the service stands: %v", err)
	case !s.Installed:
		x.add("service", doubt, "hostless service install", "no login service is installed: the daemon does not start by itself")
	case !s.Listening:
		x.add("service", broken, "hostless service start", "the login service is installed, its sockets are closed")
	default:
		x.add("service", fine, "", "installed, sockets open")
	}
}

// port asks both families who answers: a stranger on one of them would get some
// of the requests for `localhost`.
func (x *examination) port() {
	if x.status == nil {
		return
	}
	port := fmt.Sprint(x.status.Port)
	for _, address := range []string{"127.0.0.1", "::1"} {
		who, err := x.answers(net.JoinHostPort(address, port))
		switch {
		case err != nil && address == "::1" && !hasIPv6():
		case err != nil:
			x.add("port", broken, "hostless stop && hostless proxy start", "nothing answers on %s: %v", net.JoinHostPort(address, port), err)
		case who != "hostless":
			x.add("port", broken, "", "another program answers on %s", net.JoinHostPort(address, port))
		default:
			x.add("port", fine, "", "Hostless answers on %s", net.JoinHostPort(address, port))
		}
	}
}

func (x *examination) answers(address string) (string, error) {
	ctx, cancel := context.WithTimeout(x.ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body struct {
		Service string `json:"service"`
	}
	if json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<16)).Decode(&body) != nil {
		return "", nil
	}
	return body.Service, nil
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// files looks for what others of this machine could read.
func (x *examination) files() {
	entries, err := os.ReadDir(x.paths.Home)
	if err != nil {
		x.add("files", doubt, "", "the home cannot be read: %v", err)
		return
	}
	open := []string{}
	aside := []string{}
	for _, entry := range append([]os.DirEntry{}, entries...) {
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
		x.add("files", broken, "chmod -R go= "+x.paths.Home, "others of this machine can read in %s: %s", x.paths.Home, strings.Join(open, ", "))
	} else {
		x.add("files", fine, "", "%s is yours alone", x.paths.Home)
	}
	if len(aside) > 0 {
		x.add("files", doubt, "", "kept aside, since they could not be read: %s", strings.Join(aside, ", "))
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
		x.add("keys", doubt, "hostless keys add openai", "no provider has a key: only echo/text answers")
		return
	}
	x.add("keys", fine, "", "%s", strings.Join(names, ", "))
}

// routing connects to each target.
func (x *examination) routing() {
	for _, r := range x.routes {
		if r.State == control.StateStarting {
			x.add("route", fine, "", "%s is starting", r.Hostname)
			continue
		}
		network, address := target(r)
		ctx, cancel := context.WithTimeout(x.ctx, 2*time.Second)
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		cancel()
		if err != nil {
			fix := ""
			if !r.Leased && r.PID == 0 {
				fix = "hostless route remove " + r.AppName
			}
			x.add("route", doubt, fix, "%s: nothing listens on %s", r.Hostname, address)
			continue
		}
		conn.Close()
		x.add("route", fine, "", "%s → %s", r.Hostname, address)
	}
}

// target gives a route's network address.
func target(r control.Route) (network, address string) {
	if path, ok := strings.CutPrefix(r.Target, "unix:"); ok {
		return "unix", path
	}
	if u, err := url.Parse(r.Target); err == nil && u.Host != "" {
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		return "tcp", net.JoinHostPort(u.Hostname(), port)
	}
	if _, _, err := net.SplitHostPort(r.Target); err == nil {
		return "tcp", r.Target
	}
	return "tcp", net.JoinHostPort("localhost", fmt.Sprint(r.TargetPort))
}

// names asks the system's resolver, as Safari and most programs do.
func (x *examination) names() {
	for _, name := range append([]string{"localhost"}, namesOf(x.routes)...) {
		ctx, cancel := context.WithTimeout(x.ctx, 3*time.Second)
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		cancel()
		loopback := err == nil && !slices.ContainsFunc(addresses, func(a string) bool { ip := net.ParseIP(a); return ip == nil || !ip.IsLoopback() })
		switch {
		case loopback:
			x.add("names", fine, "", "%s → %s", name, strings.Join(addresses, ", "))
		case err == nil:
			x.add("names", broken, "", "%s leads away from this machine, to %s", name, strings.Join(addresses, ", "))
		default:
			x.add("names", doubt, "hostless hosts sync", "the system does not know %s (Chrome, Edge and Firefox do without it)", name)
		}
	}
}

func (x *examination) hostsBlock() {
	file := hosts.Locate("", x.e.getenv)
	s, err := file.Status(namesOf(x.routes))
	switch {
	case err != nil:
		x.add("hosts", doubt, "", "%s", fault.From(err).Message)
	case len(s.Stale) > 0 && x.status != nil:
		x.add("hosts", doubt, "hostless hosts sync", "%s has names that are served no more: %s", s.Path, strings.Join(s.Stale, ", "))
	case len(s.Names) > 0:
		x.add("hosts", fine, "", "%s has %s", s.Path, count(len(s.Names), "name"))
	}
}

func (x *examination) authority() {
	cert, err := certs.Load(x.paths.Home)
	if err != nil {
		if x.status != nil && x.status.TLS {
			x.add("certificates", broken, "", "https is on, the authority cannot be read: %v", err)
		}
		return // plain http needs none
	}
	if left := time.Until(cert.NotAfter); left < 30*24*time.Hour {
		x.add("certificates", doubt, "", "the local authority ends in %d days and is then replaced", int(left.Hours()/24))
	}
	results, err := certs.Trust{Dir: x.paths.Home, Getenv: x.e.getenv, Look: x.e.lookPath}.Status(x.ctx)
	if err != nil {
		x.add("certificates", doubt, "", "%v", err)
	}
	for _, r := range results {
		if r.State == certs.Trusted {
			x.add("certificates", fine, "", "%s trusts the local authority", r.Path)
			continue
		}
		fix := "hostless trust"
		if r.State == certs.Unavailable {
			fix = ""
		}
		x.add("certificates", doubt, fix, "%s: %s %s", r.Path, r.State, r.Detail)
	}
}

// clock catches a clock that was reset: certificates and tokens live by it.
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
		x.add("clock", broken, "", "the clock says %s, but something here is from %s", now.Format(time.RFC3339), latest.Format(time.RFC3339))
		return
	}
	x.add("clock", fine, "", "%s", now.Format(time.RFC3339))
}

// shell looks for real keys that every program of this shell can read.
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
		x.add("shell", doubt, "", "every program of this shell can read %s: give the keys to Hostless and unset them", strings.Join(found, ", "))
	}
}
