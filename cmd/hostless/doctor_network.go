package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/hostless/hostless/pkg/listen"
	"github.com/hostless/hostless/pkg/share"
)

// port checks on IPv4 and IPv6 who answers: another program on one of them would get
// some of the requests for `localhost`.
func (x *examination) port() {
	if x.status == nil {
		x.wantedPort()
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
			x.add("port", broken, "hostless stop && "+elsewhere(x.status.Port), "another program answers on %s%s", net.JoinHostPort(address, port), holding(x.status.Port))
		default:
			x.add("port", fine, "", "Hostless answers on %s", net.JoinHostPort(address, port))
		}
	}
}

// wantedPort checks whether the port of a daemon that does not run is free.
func (x *examination) wantedPort() {
	port, _ := x.e.portAsBefore(x.ctx)
	if port == 0 {
		var settings struct {
			Port int `json:"port"`
		}
		if data, err := os.ReadFile(x.paths.Config()); err == nil && json.Unmarshal(data, &settings) == nil {
			port = settings.Port
		}
	}
	if port == 0 {
		port = config.DefaultPort
	}
	for _, address := range []string{"127.0.0.1", "::1"} {
		at := net.JoinHostPort(address, strconv.Itoa(port))
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(x.ctx, "tcp", at)
		if err != nil {
			continue
		}
		conn.Close()
		x.add("port", broken, elsewhere(port), "another program listens on %s%s, so the daemon cannot", at, holding(port))
		return
	}
	x.add("port", fine, "", "%d is free", port)
}

// elsewhere returns the command that starts the daemon on another port.
func elsewhere(port int) string { return fmt.Sprintf("hostless proxy start --port %d", port%65535+1) }

// holding names the program that has a port, "" where that cannot be found out.
func holding(port int) string {
	if who := listen.Holder(port); who != "" {
		return ": " + who
	}
	return ""
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

// routing connects to each target.
func (x *examination) routing() {
	x.each(len(x.routes), func(i int) finding {
		r := x.routes[i]
		network, address := target(r)
		switch r.State {
		case control.StateStarting:
			return finding{"route", fine, r.Hostname + " is starting", ""}
		case control.StateIdle:
			return finding{"route", fine, r.Hostname + " starts with its first request", ""}
		}
		ctx, cancel := context.WithTimeout(x.ctx, 2*time.Second)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			conn.Close()
			return finding{"route", fine, r.Hostname + " → " + address, ""}
		}
		if r.Leased {
			return finding{"route", warning, r.Hostname + ": nothing listens on " + address, "hostless restart " + r.AppName}
		}
		// An alias remains also while its target does not run.
		return finding{"route", warning, r.Hostname + ": nothing listens on " + address + ": start the app (hostless route remove " + r.AppName + " removes the name)", ""}
	})
}

// sharing lists the apps that are reachable from outside of this machine.
func (x *examination) sharing() {
	for _, r := range x.routes {
		for _, s := range r.Shares {
			how := "through " + s.Tool
			if s.Tool == share.LAN {
				how = "on the local network"
			}
			x.add("share", warning, "", "%s is reachable from outside: %s, %s (Ctrl-C in the terminal of pid %d ends it)", r.AppName, s.URL, how, s.PID)
		}
	}
}

// target returns a route's network address.
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

// names asks the system's resolver for each name, as Safari and most programs do. The
// names that it does not know make one finding, since mostly it knows none of them.
func (x *examination) names() {
	names := append([]string{"localhost"}, launch.HostNames(x.routes)...)
	found := make([]finding, len(names))
	unknown := make([]bool, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { found[i], unknown[i] = x.name(name) })
	}
	all.Wait()
	var lost []string
	for i, f := range found {
		if unknown[i] {
			lost = append(lost, names[i])
		} else {
			x.findings = append(x.findings, f)
		}
	}
	if len(lost) > 0 {
		x.add("names", warning, "hostless hosts sync",
			"the system does not resolve %s: servers that call each other, tests and Safari need that (Chrome, Edge and Firefox do not); hostless config set hosts-sync on does it for all names", strings.Join(lost, ", "))
	}
}

// name looks up one name.
func (x *examination) name(name string) (found finding, unknown bool) {
	ctx, cancel := context.WithTimeout(x.ctx, 3*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	away := slices.ContainsFunc(addresses, func(a string) bool { ip := net.ParseIP(a); return ip == nil || !ip.IsLoopback() })
	switch {
	case err != nil && launch.Resolves(ctx, name):
		return finding{"names", fine, name + " resolves", ""}, false
	case err != nil:
		return finding{}, true
	case away:
		return finding{"names", broken, name + " resolves to another machine: " + strings.Join(addresses, ", "), "hostless hosts sync"}, false
	}
	return finding{"names", fine, name + " → " + strings.Join(addresses, ", "), ""}, false
}

// each runs n checks concurrently, so that many slow ones take no longer than one.
func (x *examination) each(n int, look func(i int) finding) {
	found := make([]finding, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { found[i] = look(i) })
	}
	all.Wait()
	x.findings = append(x.findings, found...)
}
