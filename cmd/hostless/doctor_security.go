package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
)

// securityProbe is the result for one claim of docs/auth-and-security.md, checked on
// this installation.
type securityProbe struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Skipped  bool   `json:"skipped"` // it cannot be checked here
	Evidence string `json:"evidence"`
	Fix      string `json:"fix"`
}

// inspection checks the claims against a running daemon. It changes nothing.
type inspection struct {
	e      *env
	ctx    context.Context
	home   string
	socket string
	status control.Status
	client *control.Client
	probes []securityProbe
}

func (i *inspection) ok(name, format string, args ...any) {
	i.probes = append(i.probes, securityProbe{Name: name, OK: true, Evidence: fmt.Sprintf(format, args...)})
}

func (i *inspection) bad(name, fix, format string, args ...any) {
	i.probes = append(i.probes, securityProbe{Name: name, Fix: fix, Evidence: fmt.Sprintf(format, args...)})
}

func (i *inspection) skip(name, format string, args ...any) {
	i.probes = append(i.probes, securityProbe{Name: name, OK: true, Skipped: true, Evidence: fmt.Sprintf(format, args...)})
}

// doctorSecurity is `hostless doctor --security`.
func (e *env) doctorSecurity(cc *cli.Context) error {
	paths, err := e.paths()
	if err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(cc.Context, 30*time.Second)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	i := &inspection{e: e, ctx: ctx, home: paths.Home, socket: paths.Socket, status: status, client: client}
	for _, try := range []func(){i.rebinding, i.noControlOnTCP, i.foreignPage, i.withoutToken, i.pageOnSocket, i.otherUser, i.modes, i.vaultIntact, i.noKeysShown, i.coreDumps, i.upstreamTLS} {
		try()
	}
	failed := 0
	for _, p := range i.probes {
		if !p.OK {
			failed++
		}
	}
	if e.line.json {
		err = e.result(struct {
			Probes []securityProbe `json:"probes"`
		}{i.probes})
	} else {
		err = e.showProbes(i.probes)
	}
	if err == nil && failed > 0 {
		err = exitError(1)
	}
	return err
}

func (e *env) showProbes(probes []securityProbe) error {
	rows := make([]finding, 0, len(probes))
	for _, p := range probes {
		verdict := fine
		switch {
		case p.Skipped:
			verdict = "skip"
		case !p.OK:
			verdict = broken
		}
		rows = append(rows, finding{Check: p.Name, Verdict: verdict, Detail: p.Evidence, Fix: p.Fix})
	}
	_, err := io.WriteString(e.out, e.layOut(rows))
	return err
}

// ask sends one request to the daemon's port.
func (i *inspection) ask(method, path, host string, header map[string]string) (status int, h http.Header, err error) {
	at := strconv.Itoa(i.status.Port)
	req, err := http.NewRequestWithContext(i.ctx, method, "http://"+net.JoinHostPort("127.0.0.1", at)+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Host = host + ":" + at
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, resp.Header, nil
}

func (i *inspection) rebinding() {
	const name = "Host rebinding is refused"
	switch status, _, err := i.ask("GET", "/v1/models", "rebound.example.com", nil); {
	case err != nil:
		i.bad(name, "hostless status", "the port does not answer: %v", err)
	case status != http.StatusMisdirectedRequest:
		i.bad(name, "hostless service install", "a request with Host rebound.example.com got %d, not 421", status)
	default:
		i.ok(name, "a request with Host rebound.example.com got 421")
	}
}

func (i *inspection) noControlOnTCP() {
	const name = "the control API is not on TCP"
	paths := []string{"/auth/token", "/auth/tokens", "/auth/refresh", "/auth/revoke", "/routes", "/keys", "/config", "/audit", "/log", "/spend", "/prices", "/unlock", "/approvals"}
	for _, path := range paths {
		for _, method := range []string{"GET", "POST"} {
			if status, _, err := i.ask(method, path, "localhost", nil); err != nil || status != http.StatusNotFound {
				i.bad(name, "hostless service install", "%s %s got %d (%v), not 404", method, path, status, err)
				return
			}
		}
	}
	i.ok(name, "%s: 404", strings.Join(paths, ", "))
}

func (i *inspection) foreignPage() {
	const name = "pages of the web are refused"
	status, h, err := i.ask("GET", "/v1/models", "localhost", map[string]string{"Origin": "https://page.example.com"})
	if err != nil || status < 400 || h.Get("Access-Control-Allow-Origin") != "" {
		i.bad(name, "hostless origins list", "Origin https://page.example.com got %d with Access-Control-Allow-Origin %q (%v)", status, h.Get("Access-Control-Allow-Origin"), err)
		return
	}
	without, _, err := i.ask("GET", "/api/tags", "localhost", map[string]string{"Sec-Fetch-Site": "cross-site"})
	if err != nil || without != http.StatusForbidden {
		i.bad(name, "hostless service install", "a cross-site request without Origin got %d, not 403 (%v)", without, err)
		return
	}
	i.ok(name, "Origin https://page.example.com got %d and no CORS header; a cross-site request without Origin got 403", status)
}

func (i *inspection) withoutToken() {
	const name = "the gateway requires a token"
	status, _, err := i.ask("GET", "/v1/models", "localhost", nil)
	switch {
	case err == nil && status == http.StatusUnauthorized:
		i.ok(name, "a request without a token got 401")
	case err == nil && i.status.DevMode:
		i.bad(name, "hostless stop, and start it without --dev-mode", "the daemon runs with --dev-mode: your own programs need no token (%d)", status)
	default:
		i.bad(name, "hostless status", "a request without a token got %d, not 401 (%v)", status, err)
	}
}

func (i *inspection) pageOnSocket() {
	const name = "the control socket refuses requests from pages"
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return control.Dial(ctx, i.socket)
	}}
	req, err := http.NewRequestWithContext(i.ctx, http.MethodGet, "http://hostless/keys", nil)
	if err == nil {
		req.Header.Set("Origin", "http://localhost")
		var resp *http.Response
		if resp, err = tr.RoundTrip(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusForbidden {
				i.ok(name, "GET /keys with an Origin got 403")
				return
			}
			err = fmt.Errorf("it got %d, not 403", resp.StatusCode)
		}
	}
	i.bad(name, "hostless status", "GET /keys with an Origin: %v", err)
}

// otherUser checks the modes of the control socket: only root could connect as another user.
func (i *inspection) otherUser() {
	const name = "another user is refused"
	info, err := os.Stat(i.socket)
	dir, dirErr := os.Stat(filepath.Dir(i.socket))
	if err = errors.Join(err, dirErr); err != nil {
		i.bad(name, "hostless status", "the control socket cannot be examined: %v", err)
		return
	}
	if info.Mode().Perm()&0o077 != 0 || dir.Mode().Perm()&0o022 != 0 {
		i.bad(name, fmt.Sprintf("chmod 700 %s && chmod 600 %s", filepath.Dir(i.socket), i.socket), "the control socket has mode %v in a directory of mode %v", info.Mode().Perm(), dir.Mode().Perm())
		return
	}
	i.skip(name, "there is no second user to test it with; the control socket has mode %v in a directory of mode %v, and the daemon asks the kernel which user owns each connection", info.Mode().Perm(), dir.Mode().Perm())
}

// modes checks the mode of each file below the home.
func (i *inspection) modes() {
	const name = "only you can read the files"
	var open []string
	n := 0
	err := filepath.WalkDir(i.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		n++
		if info.Mode().Perm()&0o077 != 0 && filepath.Base(path) != "ca.crt" {
			open = append(open, path)
		}
		return nil
	})
	if err != nil || len(open) > 0 {
		i.bad(name, "chmod -R go= "+i.home, "other users can read %s (%v)", strings.Join(open, ", "), err)
		return
	}
	i.ok(name, "other users have no access to the %d files and directories in %s", n, i.home)
}

// vaultIntact looks for the daemon's warning about a changed vault.
func (i *inspection) vaultIntact() {
	const name = "the key vault is unchanged since Hostless wrote it"
	if _, err := os.Stat(filepath.Join(i.home, "vault.json")); err != nil {
		i.skip(name, "there is no vault: keys are in keys.env, which only you can read")
		return
	}
	for _, w := range i.status.Warnings {
		if strings.Contains(w, "vault.json") {
			i.bad(name, "compare it with a backup, then: hostless keys add PROVIDER", "%s", w)
			return
		}
	}
	for _, p := range i.status.Providers {
		if p.Locked {
			i.skip(name, "it is locked: run hostless unlock, then check again")
			return
		}
	}
	i.ok(name, "its seal is intact, for each entry and as a whole")
}

// keyShape matches the keys of common providers.
var keyShape = regexp.MustCompile(`\b(?:sk-|gsk_|xai-|pplx-|hf_|csk-|fw_|nvapi-|AIza)[A-Za-z0-9_-]{16,}`)

// noKeysShown looks for keys in the arguments and environments of the daemon and the apps.
func (i *inspection) noKeysShown() {
	const name = "no key in arguments or environments"
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		i.skip(name, "this system does not show them in /proc")
		return
	}
	pids := []int{i.status.PID}
	if list, err := i.client.Routes(i.ctx); err == nil {
		for _, r := range list.Routes {
			if r.PID > 0 {
				pids = append(pids, r.PID)
			}
		}
	}
	hidden := false
	for _, pid := range pids {
		for _, file := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
			if err != nil {
				hidden = hidden || pid == i.status.PID
				continue
			}
			if keyShape.Match(data) {
				i.bad(name, "hostless keys add PROVIDER, and remove the key from the shell's environment", "the %s of process %d shows a provider's key", file, pid)
				return
			}
		}
	}
	evidence := fmt.Sprintf("none in %d processes: the daemon and the apps", len(pids))
	if hidden {
		evidence += "; not even you can read the daemon's environment"
	}
	i.ok(name, "%s", evidence)
}

func (i *inspection) coreDumps() {
	const name = "the daemon leaves no core dump"
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(i.status.PID), "limits"))
	if err != nil {
		i.skip(name, "the daemon's limits cannot be read here")
		return
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			if fields := strings.Fields(rest); len(fields) > 1 && fields[0] == "0" && fields[1] == "0" {
				i.ok(name, "its limit for core files is 0")
			} else {
				i.bad(name, "hostless service restart", "its limit for core files is %s", strings.TrimSpace(rest))
			}
			return
		}
	}
	i.skip(name, "the daemon's limits do not name core files")
}

// upstreamTLS checks that no key goes to another machine unencrypted.
func (i *inspection) upstreamTLS() {
	const name = "keys are sent over verified TLS only"
	l, err := i.client.Keys(i.ctx)
	if err != nil {
		i.bad(name, "hostless keys list", "the stored keys cannot be listed: %v", err)
		return
	}
	n := 0
	for _, k := range l.Keys {
		base := k.BaseURL
		if p := provider.Default().Get(k.Provider); base == "" && p != nil {
			base = p.BaseURL
		}
		n++
		u, err := url.Parse(base)
		if err == nil && u.Scheme == "http" && k.HasKey && !onThisMachine(u.Hostname()) {
			i.bad(name, fmt.Sprintf("hostless keys add %s --keep-key --base-url https://…", k.Provider), "the key of %s goes to %s unencrypted", keyName(k.Provider, k.Label), base)
			return
		}
	}
	i.ok(name, "%s: each to an https:// address or to this machine", count(n, "provider"))
}

// onThisMachine reports whether a host is loopback.
func onThisMachine(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
