//go:build linux

package main

import (
	"cmp"
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// portlessVersion is installed with npm if that is available; nodeVersion is the Node
// that it needs.
const (
	portlessVersion = "0.15.6"
	nodeVersion     = "24"
)

// portless is installed with npm, together with its Node. It has no path prefixes, and
// reads its routes from the directory to which its alias command writes them.
func (b *bench) portless(ctx context.Context, s site) (*process, error) {
	modules := filepath.Join(b.dir, "node_modules")
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	nodePackage := "node-linux-" + cmp.Or(arch, runtime.GOARCH) // what the package "node" would download with a script
	if _, err := os.Stat(modules); err != nil {
		if err := command(ctx, b.dir, nil, "npm", "install", "--prefix", b.dir, "--no-audit", "--no-fund", "--ignore-scripts",
			"portless@"+portlessVersion, nodePackage+"@"+nodeVersion); err != nil {
			return nil, err
		}
	}
	node, cli := filepath.Join(modules, nodePackage, "bin", "node"), filepath.Join(modules, "portless", "dist", "cli.js")
	state := filepath.Join(b.dir, "portless", "plain")
	mode := []string{"--no-tls"}
	if s.cert != "" {
		state = filepath.Join(b.dir, "portless", "tls")
		mode = []string{"--cert", s.cert, "--key", s.key}
	}
	_, port, _ := net.SplitHostPort(s.addr)
	// The comparison must not change the machine's hosts file.
	env := []string{"HOME=" + state, "PORTLESS_STATE_DIR=" + state, "PORTLESS_SYNC_HOSTS=0", "PORTLESS_PORT=" + port, "CI=1"}
	// By default it tries ::1 when 127.0.0.1 has not accepted within a quarter of a
	// second, which is an error under load. The cipher is the same as for the others.
	flags := []string{"--network-family-autoselection-attempt-timeout=10000", "--tls-cipher-list=TLS_AES_128_GCM_SHA256"}
	name, args := node, append(flags, cli, "proxy", "start", "--foreground", "--skip-trust", "--port", port)
	args = append(args, mode...)
	if os.Geteuid() == 0 { // otherwise it uses port 80 too
		name, args = "setpriv", append([]string{"--bounding-set", "-net_bind_service", node}, args...)
	}
	process, err := b.start(proxyCore, s.addr, env, name, args...)
	if err != nil {
		return nil, err
	}
	for name, target := range map[string]string{host: b.backend, filesHost: b.files} {
		_, port, _ := net.SplitHostPort(target)
		if err := command(ctx, b.dir, env, node, cli, "alias", strings.TrimSuffix(name, ".localhost"), port); err != nil {
			return nil, err
		}
	}
	return process, nil
}
