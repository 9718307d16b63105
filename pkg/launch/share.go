//go:build unix

package launch

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch/proctree"
	"github.com/hostless/hostless/pkg/share"
)

// lanVariable is the environment variable with the address on which apps are served on the
// local network if no flag sets one.
const lanVariable = "HOSTLESS_LAN_IP"

// LANAddress returns the address on which to serve an app on the local network: text, else
// that of the environment, else the zero Addr. The error is fault.Usage for an invalid one.
func LANAddress(text string, getenv func(string) string) (addr netip.Addr, err error) {
	from := "--ip"
	if text == "" {
		from, text = lanVariable, getenv(lanVariable)
	}
	if text == "" {
		return addr, nil
	}
	if addr, err = netip.ParseAddr(text); err != nil {
		return addr, fault.New(fault.Usage, from+" "+text+" is not an IP address")
	}
	return addr.Unmap(), nil
}

// shareVariables are the variables with the public URLs of an app, by the way of sharing.
var shareVariables = map[string]string{
	share.LAN: "HOSTLESS_LAN_URL", share.Tailscale: "HOSTLESS_TAILSCALE_URL", share.Funnel: "HOSTLESS_TAILSCALE_URL",
	share.Cloudflared: "HOSTLESS_CLOUDFLARED_URL", share.Ngrok: "HOSTLESS_NGROK_URL",
}

// openShares shares the app in each requested way before its command starts, so that the
// command's environment has the URLs. over is true if a signal ended the run meanwhile; code
// is then its exit code.
func (r *run) openShares(ctx context.Context, sig *signals) (over bool, code int, err error) {
	if len(r.Share) == 0 {
		return false, 0, nil
	}
	sharing, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, cancel)
	opened := make(chan error, 1)
	go func() { opened <- r.openEach(sharing) }()
	select {
	case err = <-opened:
	case s := <-sig.ending:
		cancel()
		<-opened
		return true, proctree.ExitSignal + int(s.(syscall.Signal)), nil
	}
	if err != nil {
		cancel()
		code, err = failed(err)
	}
	return err != nil, code, err
}

// openEach opens the sessions one after the other. They end with ctx.
func (r *run) openEach(ctx context.Context) error {
	ip, err := LANAddress("", func(name string) string { return getenv(r.Environ, name) })
	if err != nil {
		return err
	}
	for _, way := range r.Share {
		session, err := share.Open(ctx, share.Config{
			Way: way, Name: r.Name, App: r.lease.registered().URL, Daemon: r.status.Port, Home: r.Paths.Home,
			Look: func(program string) (string, error) { return lookIn(getenv(r.Environ, "PATH"), program) }, Environ: r.Environ, IP: ip, Note: r.note,
		})
		if err != nil {
			return err
		}
		r.shares = append(r.shares, session)
		r.note("%s is reachable at %s (%s)", r.Name, session.URL, way)
		if way == share.LAN && session.URL.Scheme == "https" {
			r.note("other devices trust its certificate after they have installed %s; http:// works on the same port", certs.LANCertPath(r.Paths.Home))
		}
		go func() {
			if err := session.Keep(ctx, r.Client, r.Name, 0); err != nil {
				r.note("%s is no longer reachable at %s: %v", r.Name, session.URL, err)
				session.Stop()
			}
		}()
	}
	return nil
}

// lookIn finds a program in a PATH.
func lookIn(path, program string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", &exec.Error{Name: program, Err: exec.ErrNotFound}
}

func (r *run) closeShares() {
	for _, s := range r.shares {
		s.Stop()
	}
}

// CheckWays validates the names of ways of sharing, and removes duplicates.
func CheckWays(words []string) (ways []string, err error) {
	have := map[string]bool{}
	for _, word := range words {
		known := false
		for _, way := range share.Ways {
			known = known || way == word
		}
		if !known {
			return nil, &fault.Error{Kind: fault.Usage, Message: word + " is not a way of sharing", Next: "one of " + strings.Join(share.Ways, ", ")}
		}
		if !have[word] {
			ways = append(ways, word)
		}
		have[word] = true
	}
	if have[share.Tailscale] && have[share.Funnel] {
		return nil, fault.New(fault.Usage, "tailscale and funnel use the same port of the same tool: choose one of them")
	}
	return ways, nil
}
