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

// portlessVersion is what is installed where npm is, and nodeVersion what it needs.
const (
	portlessVersion = "0.15.6"
	nodeVersion     = "24"
)

// portless comes from npm, with the Node that it needs. It has no path prefixes, and
// reads its routes from the directory that its alias command writes them to.
func (b *bench) portless(ctx context.Context, s site) (*process, error) {
	modules := filepath.Join(b.dir, "node_modules")
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	nodePackage := "node-linux-" + cmp.Or(arch, runtime.GOARCH) // what the package "node" would fetch by a script
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
	// The hosts file is the machine's, and none of a comparison's business.
	env := []string{"HOME=" + state, "PORTLESS_STATE_DIR=" + state, "PORTLESS_SYNC_HOSTS=0", "PORTLESS_PORT=" + port, "CI=1"}
	// It gives a connection to 127.0.0.1 a quarter of a second, and tries ::1 then: under
	// load that is an error. The cipher is what the others use.
	flags := []string{"--network-family-autoselection-attempt-timeout=10000", "--tls-cipher-list=TLS_AES_128_GCM_SHA256"}
	name, args := node, append(flags, cli, "proxy", "start", "--foreground", "--skip-trust", "--port", port)
	args = append(args, mode...)
	if os.Geteuid() == 0 { // or it takes port 80 too
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
