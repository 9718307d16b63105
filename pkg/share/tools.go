package share

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// The ways of sharing.
const (
	Tailscale   = "tailscale" // to the user's own tailnet
	Funnel      = "funnel"    // Tailscale, to the Internet
	Cloudflared = "cloudflared"
	Ngrok       = "ngrok"
	LAN         = "lan" // on the local network, without a tool
)

// Ways are the ways of sharing.
var Ways = []string{Tailscale, Funnel, Cloudflared, Ngrok, LAN}

// tool describes how a tool is started and how its URL is found in its output.
type tool struct {
	program string
	args    func(port, public int) []string
	url     *regexp.Regexp // the URL is its first group
	ports   []int          // public ports to try; nil if the tool chooses
	from    string         // where to get it
}

var tools = map[string]tool{
	Tailscale: {
		program: "tailscale", ports: []int{443, 8443, 10000}, url: regexp.MustCompile(`(https://[a-zA-Z0-9.-]+(?::[0-9]+)?)/?\s*$`), from: "https://tailscale.com/download",
		args: func(port, public int) []string {
			return []string{"serve", "--https=" + strconv.Itoa(public), "http://127.0.0.1:" + strconv.Itoa(port)}
		},
	},
	Funnel: {
		program: "tailscale", ports: []int{443, 8443, 10000}, url: regexp.MustCompile(`(https://[a-zA-Z0-9.-]+(?::[0-9]+)?)/?\s*$`), from: "https://tailscale.com/download",
		args: func(port, public int) []string {
			return []string{"funnel", "--https=" + strconv.Itoa(public), "http://127.0.0.1:" + strconv.Itoa(port)}
		},
	},
	Cloudflared: {
		program: "cloudflared", url: regexp.MustCompile(`(https://[a-z0-9-]+\.trycloudflare\.com)`), from: "https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads",
		args: func(port, _ int) []string {
			return []string{"tunnel", "--no-autoupdate", "--url", "http://127.0.0.1:" + strconv.Itoa(port)}
		},
	},
	Ngrok: {
		program: "ngrok", url: regexp.MustCompile(`"url":"(https://[^"]+)"`), from: "https://ngrok.com/download",
		args: func(port, _ int) []string {
			return []string{"http", strconv.Itoa(port), "--log", "stdout", "--log-format", "json"}
		},
	},
}

// Installed returns the tools that look (such as exec.LookPath) finds.
func Installed(look func(string) (string, error)) (names []string) {
	for _, name := range []string{Tailscale, Funnel, Cloudflared, Ngrok} {
		if _, err := look(tools[name].program); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// Tunnel is a running tool.
type Tunnel struct {
	URL  *url.URL // the public URL of the port
	done chan struct{}
	cmd  *exec.Cmd
	err  error
}

const (
	startLimit = 45 * time.Second // until a tool has printed its URL
	stopGrace  = 5 * time.Second
	keptLines  = 20
)

// Start starts a tool for a loopback port and returns when its URL is known. look finds the
// program, as exec.LookPath does. The error is a *fault.Error with the last line that the
// tool printed. The end of ctx ends the tool.
func Start(ctx context.Context, name string, port int, look func(string) (string, error), environ []string) (*Tunnel, error) {
	t, ok := tools[name]
	if !ok {
		return nil, fault.New(fault.Usage, fmt.Sprintf("%q is not a supported tool for sharing", name))
	}
	path, err := look(t.program)
	if err != nil {
		return nil, &fault.Error{Kind: fault.NotFound, Message: t.program + " is not installed, or not in PATH", Next: "install it: " + t.from, Err: err}
	}
	ports := t.ports
	if ports == nil {
		ports = []int{0}
	}
	for _, public := range ports {
		var tunnel *Tunnel
		if tunnel, err = start(ctx, t, path, port, public, environ); err == nil || ctx.Err() != nil {
			return tunnel, err
		}
	}
	return nil, err
}

func start(ctx context.Context, t tool, path string, port, public int, environ []string) (*Tunnel, error) {
	cmd := exec.Command(path, t.args(port, public)...)
	cmd.Env = environ
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // this process forwards Ctrl-C
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		return nil, &fault.Error{Kind: fault.Internal, Message: fmt.Sprintf("%s cannot be started: %v", t.program, err), Err: err}
	}
	tunnel := &Tunnel{cmd: cmd, done: make(chan struct{})}
	go func() {
		tunnel.err = cmd.Wait()
		in.Close()
		close(tunnel.done)
	}()
	found := make(chan string, 1)
	said := &lines{}
	go func() {
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			said.add(scanner.Text())
			if m := t.url.FindStringSubmatch(scanner.Text()); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	fail := func(what string) (*Tunnel, error) {
		tunnel.Stop()
		return nil, &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("%s %s%s", t.program, what, said.text())}
	}
	select {
	case text := <-found:
		u, err := url.Parse(text)
		if err != nil {
			return fail("printed a URL that cannot be parsed")
		}
		tunnel.URL = u
		context.AfterFunc(ctx, tunnel.Stop)
		return tunnel, nil
	case <-tunnel.done:
		return fail("ended before it had a URL")
	case <-limit.C:
		return fail(fmt.Sprintf("printed no URL for %v", startLimit))
	case <-ctx.Done():
		tunnel.Stop()
		return nil, ctx.Err()
	}
}

// Done returns a channel that is closed when the tool has ended.
func (t *Tunnel) Done() <-chan struct{} { return t.done }

// Err returns the tool's exit error once Done is closed.
func (t *Tunnel) Err() error { return t.err }

// Stop ends the tool and its children, and returns when it has ended. It may be called
// twice.
func (t *Tunnel) Stop() {
	_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-t.done:
	case <-time.After(stopGrace):
		_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
		<-t.done
	}
}

// lines keeps the last lines that a tool has printed.
type lines struct {
	mu   sync.Mutex
	last []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = append(l.last, line); len(l.last) > keptLines {
		l.last = l.last[1:]
	}
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := strings.TrimSpace(strings.Join(l.last, "\n")); text != "" {
		return ":\n" + text
	}
	return ""
}
