package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The cores: the proxy has the first for itself.
const (
	proxyCore = "0"
	otherCore = "1"
)

// host is what the proxies are asked for.
const host = "bench.localhost"

// proxy is one that runs.
type proxy struct {
	name string
	addr string
	cmd  *exec.Cmd
}

// bench is a comparison that runs.
type bench struct {
	options
	dir     string
	self    string
	backend string // host:port of plain answers
	echo    string // host:port of the WebSocket echo
	running []*exec.Cmd
}

// stop ends what was started, the last first, each by its process group.
func (b *bench) stop() {
	for _, cmd := range slices.Backward(b.running) {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-done
		}
	}
}

// start runs a program on a core and waits until the address takes connections.
func (b *bench) start(core, addr string, env []string, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command("taskset", append([]string{"-c", core, name}, args...)...)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.running = append(b.running, cmd)
	for range 500 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return cmd, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s does not listen on %s: %s", name, addr, text.String())
}

// free gives a port that nobody has.
func free() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer l.Close()
	return l.Addr().String()
}

// startBackend runs the apps behind the proxies: nginx for answers, since it
// costs the least, and a WebSocket echo.
func (b *bench) startBackend(ctx context.Context) (err error) {
	b.self = filepath.Join(b.dir, "peers")
	if err := build(ctx, "./test/peers", b.self); err != nil {
		return err
	}
	big, err := os.Create(filepath.Join(b.dir, "big"))
	if err != nil {
		return err
	}
	if err := big.Truncate(1 << 30); err != nil {
		return err
	}
	big.Close()
	b.backend, b.echo = free(), free()
	conf := b.write("backend.conf", nginxHead(b.dir, "backend")+`
http {
  access_log off; sendfile on; keepalive_requests 100000000; keepalive_timeout 300s; default_type text/plain;
  server {
    listen `+b.backend+` reuseport;
    location / { return 200 "`+strings.Repeat("hello, world. ", 8)+`"; }
    location /big { root `+b.dir+`; }
  }
}`)
	if _, err := b.start(otherCore, b.backend, nil, "nginx", "-p", b.dir, "-c", conf, "-e", "/dev/null"); err != nil {
		return err
	}
	_, err = b.start(otherCore, b.echo, []string{"GOMAXPROCS=1"}, b.self, "serve", "echo", b.echo)
	return err
}

func (b *bench) write(name, text string) string {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err) // the directory is ours
	}
	return path
}

// nginxHead is an nginx of one process in the foreground.
func nginxHead(dir, name string) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	return user + "daemon off; worker_processes 1; pid " + filepath.Join(dir, name+".pid") + "; error_log /dev/null;\nevents { worker_connections 4096; }"
}

// startProxies starts those that can be had, nginx first; of the others it says
// why not.
func (b *bench) startProxies(ctx context.Context) (proxies []*proxy) {
	for _, p := range []struct {
		name  string
		start func(context.Context, string) (*exec.Cmd, string, error)
	}{
		{"nginx", b.nginx}, {"haproxy", b.haproxy}, {"hostless", b.hostless}, {"bare", b.bare}, {"caddy", b.caddy},
	} {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), p.name) {
			continue
		}
		cmd, addr, err := p.start(ctx, free())
		if err != nil {
			fmt.Fprintf(os.Stderr, "peers: without %s: %v\n", p.name, err)
			continue
		}
		proxies = append(proxies, &proxy{p.name, addr, cmd})
	}
	return proxies
}

func (b *bench) nginx(_ context.Context, addr string) (*exec.Cmd, string, error) {
	conf := b.write("nginx.conf", nginxHead(b.dir, "nginx")+`
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  upstream plain { server `+b.backend+`; keepalive 512; keepalive_requests 100000000; }
  upstream sockets { server `+b.echo+`; }
  server {
    listen `+addr+` reuseport;
    proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
    location / { proxy_set_header Connection ""; proxy_max_temp_file_size 0; proxy_pass http://plain; }
    location /ws { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection Upgrade; proxy_pass http://sockets; }
  }
}`)
	cmd, err := b.start(proxyCore, addr, nil, "nginx", "-p", b.dir, "-c", conf, "-e", "/dev/null")
	return cmd, addr, err
}

func (b *bench) haproxy(_ context.Context, addr string) (*exec.Cmd, string, error) {
	conf := b.write("haproxy.cfg", `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  option forwardfor
  http-reuse always
frontend all
  bind `+addr+`
  use_backend sockets if { path_beg /ws }
  default_backend plain
backend plain
  server a `+b.backend+` pool-max-conn 512
backend sockets
  server a `+b.echo+`
`)
	cmd, err := b.start(proxyCore, addr, nil, "haproxy", "-f", conf)
	return cmd, addr, err
}

func (b *bench) bare(_ context.Context, addr string) (*exec.Cmd, string, error) {
	cmd, err := b.start(proxyCore, addr, []string{"GOMAXPROCS=1"}, b.self, "serve", "bare", addr, b.backend, b.echo)
	return cmd, addr, err
}

func (b *bench) hostless(_ context.Context, addr string) (*exec.Cmd, string, error) {
	bin, err := filepath.Abs(b.bin)
	if err != nil {
		return nil, "", err
	}
	home := filepath.Join(b.dir, "home")
	_, port, _ := net.SplitHostPort(addr)
	cmd, err := b.start(proxyCore, addr, []string{"HOSTLESS_HOME=" + home}, filepath.Join(bin, "hostlessd"), "--port", port)
	if err != nil {
		return nil, "", err
	}
	name := strings.TrimSuffix(host, ".localhost")
	for _, route := range []string{
		`{"name":"` + name + `","target":"` + b.backend + `"}`,
		`{"name":"` + name + `","target":"` + b.echo + `","path_prefix":"/ws"}`,
	} {
		if err := control(filepath.Join(home, "control.sock"), "/routes/register", route); err != nil {
			return nil, "", err
		}
	}
	return cmd, addr, nil
}

func (b *bench) caddy(ctx context.Context, addr string) (*exec.Cmd, string, error) {
	bin := filepath.Join(b.dir, "caddy")
	if path, err := exec.LookPath("caddy"); err == nil {
		bin = path
	} else if err := install(ctx, b.dir, "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.4"); err != nil {
		return nil, "", err
	}
	conf := b.write("Caddyfile", `{
  admin off
  auto_https off
  log {
    output discard
  }
}
http://`+host+`:`+addr[strings.LastIndexByte(addr, ':')+1:]+` {
  bind 127.0.0.1
  reverse_proxy /ws* `+b.echo+`
  reverse_proxy `+b.backend+` {
    transport http {
      keepalive_idle_conns_per_host 512
      compression off
    }
  }
}
`)
	cmd, err := b.start(proxyCore, addr, []string{"GOMAXPROCS=1", "XDG_DATA_HOME=" + b.dir, "XDG_CONFIG_HOME=" + b.dir}, bin, "run", "--adapter", "caddyfile", "--config", conf)
	return cmd, addr, err
}

// pids are the proxy's processes: what was started and its children.
func (p *proxy) pids() []int {
	all := []int{p.cmd.Process.Pid}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", all[0], all[0]))
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// cpu is the time that the proxy has used, in user and system mode.
func (p *proxy) cpu() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	var ticks int64
	for _, pid := range p.pids() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 12 {
			user, _ := strconv.ParseInt(fields[11], 10, 64)
			system, _ := strconv.ParseInt(fields[12], 10, 64)
			ticks += user + system
		}
	}
	return time.Duration(ticks) * tick
}

// rss is the proxy's resident memory in bytes.
func (p *proxy) rss() (bytes int64) {
	for _, pid := range p.pids() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64)
			bytes += pages * int64(os.Getpagesize())
		}
	}
	return bytes
}
