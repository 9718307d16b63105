//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Host names that the proxies serve. The first has small responses and WebSockets, the
// second has transfers of 1 GiB.
const (
	host      = "bench.localhost"
	filesHost = "files.localhost"
)

// startBackend builds this program and starts the apps behind the proxies with it.
func (b *bench) startBackend(ctx context.Context) (err error) {
	if err := command(ctx, "", []string{"CGO_ENABLED=0"}, "go", "build", "-o", b.self, "./test/peers"); err != nil {
		return err
	}
	if b.backend, err = free(); err != nil {
		return err
	}
	if err := b.startDriver(); err != nil {
		return err
	}
	big, err := os.Create(b.big())
	if err != nil {
		return err
	}
	defer big.Close()
	if err := big.Truncate(gib); err != nil {
		return err
	}
	if b.files, err = free(); err != nil {
		return err
	}
	_, err = b.start(otherCore, b.files, []string{"GOMAXPROCS=1"}, b.self, "serve", "files", b.files, b.big())
	return err
}

// big is the path of a sparse file of 1 GiB.
func (b *bench) big() string { return filepath.Join(b.dir, "big") }

// site is what a proxy must serve: http, or https if there is a certificate.
type site struct {
	addr      string
	cert, key string
}

// startProxies starts the available proxies, nginx first, and prints why the others are
// not available.
func (b *bench) startProxies(ctx context.Context, secure bool) (proxies []*proxy, err error) {
	var s site
	if secure {
		if s.cert, s.key, err = b.certificate(); err != nil {
			return nil, err
		}
	}
	for _, p := range []struct {
		name  string
		start func(context.Context, site) (*process, error)
	}{
		{"nginx", b.nginx}, {"haproxy", b.haproxy}, {"hostless", b.hostless}, {"bare", b.bare}, {"caddy", b.caddy}, {"portless", b.portless},
		{manyRoutes, b.withRoutes}, {manyTokens, b.withTokens},
	} {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), p.name) || secure && (p.name == manyRoutes || p.name == manyTokens) {
			continue
		}
		if s.addr, err = free(); err != nil {
			return nil, err
		}
		process, err := p.start(ctx, s)
		if err == nil {
			err = s.ready()
		}
		if err == nil && secure {
			err = sameTLS(s.addr)
		}
		if err != nil {
			why, _, _ := strings.Cut(err.Error(), "\n")
			fmt.Fprintf(os.Stderr, "peers: without %s: %s\n", p.name, why)
			continue
		}
		proxies = append(proxies, &proxy{p.name, s.addr, process})
	}
	if len(proxies) == 0 {
		return nil, fmt.Errorf("no proxy could be started")
	}
	return proxies, nil
}

// ready waits until a proxy serves both names, because some load their routes after they
// listen.
func (s site) ready() error {
	scheme := "http"
	if s.cert != "" {
		scheme = "https"
	}
	for name, method := range map[string]string{host: http.MethodGet, filesHost: http.MethodHead} {
		config := clientTLS()
		config.ServerName = name
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}
		req, err := http.NewRequest(method, scheme+"://"+s.addr, nil)
		if err != nil {
			return err
		}
		req.Host = name
		for range 100 {
			if err = answers(client, req); err == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func answers(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", req.Host, resp.Status)
	}
	return nil
}

// nginxHead returns the beginning of an nginx configuration for one process in the
// foreground.
func nginxHead(dir, name string) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	return user + "daemon off; worker_processes 1; pid " + filepath.Join(dir, name+".pid") + "; error_log /dev/null;\nevents { worker_connections 4096; }"
}

func (b *bench) nginx(_ context.Context, s site) (*process, error) {
	listen := s.addr + " reuseport;"
	if s.cert != "" {
		listen = s.addr + " ssl reuseport; ssl_protocols TLSv1.3; ssl_certificate " + s.cert + "; ssl_certificate_key " + s.key + ";"
	}
	conf := b.write("nginx.conf", nginxHead(b.dir, "nginx")+`
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
  map $http_upgrade $hop { default Upgrade; '' ''; }
  proxy_http_version 1.1;
  proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $hop;
  upstream app { server `+b.backend+`; keepalive 512; keepalive_requests 100000000; }
  upstream files { server `+b.files+`; keepalive 512; }
  server { listen `+listen+` server_name `+host+`; location / { proxy_pass http://app; } }
  server { listen `+strings.Replace(listen, " reuseport", "", 1)+` server_name `+filesHost+`;
    proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 512k; client_body_buffer_size 512k;
    location / { proxy_pass http://files; }
  }
}`)
	return b.start(proxyCore, s.addr, nil, "nginx", "-p", b.dir, "-c", conf, "-e", "/dev/null")
}

func (b *bench) haproxy(_ context.Context, s site) (*process, error) {
	bind := s.addr
	if s.cert != "" {
		bind += " ssl crt " + filepath.Join(b.dir, "pair.pem") + " ssl-min-ver TLSv1.3"
	}
	conf := b.write("haproxy.cfg", `
global
  nbthread 1
  maxconn 4096
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  timeout tunnel 300s
  option forwardfor
  http-reuse always
frontend all
  bind `+bind+`
  use_backend files if { hdr(host) `+filesHost+` }
  default_backend app
backend app
  server a `+b.backend+` pool-max-conn 512
backend files
  server a `+b.files+`
`)
	return b.start(proxyCore, s.addr, nil, "haproxy", "-f", conf)
}

func (b *bench) bare(_ context.Context, s site) (*process, error) {
	args := []string{"serve", "bare", s.addr, b.backend, b.files}
	if s.cert != "" {
		args = append(args, s.cert, s.key)
	}
	return b.start(proxyCore, s.addr, []string{"GOMAXPROCS=1"}, b.self, args...)
}

// Names of the daemons with many routes or tokens.
const (
	manyRoutes = "10k routes"
	manyTokens = "100k tokens"
)

// hostless starts Hostless as a user would. Over https, it uses its own certificate
// authority.
func (b *bench) hostless(ctx context.Context, s site) (*process, error) {
	process, _, err := b.daemon(ctx, s, "home")
	return process, err
}

// withRoutes starts Hostless with 10,000 additional routes. Their file is written before the
// daemon starts, because each registration would write the whole file again.
func (b *bench) withRoutes(ctx context.Context, s site) (*process, error) {
	type route struct {
		Name   string `json:"name"`
		Target string `json:"target"`
		Alias  bool   `json:"alias"`
	}
	file := struct {
		Version int     `json:"version"`
		Routes  []route `json:"routes"`
	}{Version: 1}
	for i := range 10_000 {
		file.Routes = append(file.Routes, route{fmt.Sprintf("app-%d", i), b.backend, true})
	}
	text, err := json.Marshal(file)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(b.dir, "routes")
	if err := errors.Join(os.MkdirAll(home, 0o700), os.WriteFile(filepath.Join(home, "routes.json"), text, 0o600)); err != nil {
		return nil, err
	}
	process, _, err := b.daemon(ctx, s, "routes")
	return process, err
}

// withTokens starts Hostless with 100,000 bridge tokens.
func (b *bench) withTokens(ctx context.Context, s site) (*process, error) {
	process, client, err := b.daemon(ctx, s, "tokens")
	for i := range 100_000 {
		if err != nil {
			break
		}
		err = client.post(ctx, "/auth/token", fmt.Sprintf(`{"name":"app-%d","origin":"http://app-%d.localhost"}`, i, i))
	}
	return process, err
}

// daemon starts hostlessd with the benchmark's routes and its own home.
func (b *bench) daemon(ctx context.Context, s site, home string) (*process, *control, error) {
	bin, err := filepath.Abs(b.bin)
	if err != nil {
		return nil, nil, err
	}
	_, port, _ := net.SplitHostPort(s.addr)
	home, args := filepath.Join(b.dir, home), []string{"--port", port}
	if s.cert != "" {
		home, args = home+"-tls", append(args, "--tls")
	}
	socket := filepath.Join(home, "control.sock")
	env := []string{"HOSTLESS_HOME=" + home, "HOSTLESS_SOCKET=" + socket} // never the user's own
	process, err := b.start(proxyCore, s.addr, env, filepath.Join(bin, "hostlessd"), args...)
	if err != nil {
		return nil, nil, err
	}
	client := newControl(socket)
	for name, target := range map[string]string{host: b.backend, filesHost: b.files} {
		route := `{"name":"` + strings.TrimSuffix(name, ".localhost") + `","target":"` + target + `"}`
		if err := client.post(ctx, "/routes/register", route); err != nil {
			return nil, nil, err
		}
	}
	return process, client, nil
}

// control sends requests to the daemon's control socket.
type control struct{ client http.Client }

func newControl(socket string) *control {
	return &control{http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}}
}

func (c *control) post(ctx context.Context, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hostless"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}

func (b *bench) caddy(ctx context.Context, s site) (*process, error) {
	bin := filepath.Join(b.dir, "caddy")
	if path, err := exec.LookPath("caddy"); err == nil {
		bin = path
	} else if _, err := os.Stat(bin); err != nil {
		env := []string{"CGO_ENABLED=0", "GOBIN=" + b.dir}
		if err := command(ctx, "", env, "go", "install", "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.4"); err != nil {
			return nil, err
		}
	}
	scheme, tls := "http", ""
	if s.cert != "" {
		scheme, tls = "https", "tls "+s.cert+" "+s.key
	}
	block := func(name, target string) string {
		return scheme + `://` + name + s.addr[strings.LastIndexByte(s.addr, ':'):] + ` {
  bind 127.0.0.1
  ` + tls + `
  reverse_proxy ` + target + ` {
    transport http {
      keepalive_idle_conns_per_host 512
      compression off
    }
  }
}
`
	}
	conf := b.write("Caddyfile", `{
  admin off
  auto_https off
  log {
    output discard
  }
}
`+block(host, b.backend)+block(filesHost, b.files))
	env := []string{"GOMAXPROCS=1", "XDG_DATA_HOME=" + b.dir, "XDG_CONFIG_HOME=" + b.dir}
	return b.start(proxyCore, s.addr, env, bin, "run", "--adapter", "caddyfile", "--config", conf)
}
