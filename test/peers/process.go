//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cores: the proxy has the first one for itself.
const (
	proxyCore = "0"
	otherCore = "1"
)

// bench is a running comparison.
type bench struct {
	options
	dir     string
	self    string // path of this program
	backend string // host:port of small answers and of the WebSocket echo
	files   string // host:port of the 1 GiB file
	driver  *driver
	running []*process
}

// process is a program that was started and must be stopped.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// launch starts a command that stop will stop.
func (b *bench) launch(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, make(chan struct{})}
	go func() { cmd.Wait(); close(p.ended) }()
	b.running = append(b.running, p)
	return p, nil
}

// stop stops the started programs, except the first few, in reverse order, each with its
// process group.
func (b *bench) stop(but int) {
	for len(b.running) > but {
		p := b.running[len(b.running)-1]
		b.running = b.running[:len(b.running)-1]
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
			syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			<-p.ended
		}
	}
}

// pinned returns a command that runs on one core, in its own process group.
func (b *bench) pinned(ctx context.Context, core string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", core, name}, args...)...)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// start runs a program on a core and waits until the address accepts connections.
func (b *bench) start(core, addr string, env []string, name string, args ...string) (*process, error) {
	cmd := b.pinned(context.Background(), core, env, name, args...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	p, err := b.launch(cmd)
	if err != nil {
		return nil, err
	}
	if err := p.listens(addr); err != nil {
		b.stop(len(b.running) - 1) // afterwards nothing writes to text
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(text.String()))
	}
	return p, nil
}

// listens waits until the process accepts connections.
func (p *process) listens(addr string) error {
	for range 1000 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-p.ended:
			return errors.New("exited")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("nothing listens on %s", addr)
}

// client runs a part of this program on the backend's core, which prints its outcome.
func (b *bench) client(ctx context.Context, args ...string) (out outcome, err error) {
	cmd := b.pinned(ctx, otherCore, []string{"GOMAXPROCS=1"}, b.self, append([]string{"serve"}, args...)...)
	var why bytes.Buffer
	cmd.Stderr = &why
	text, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%w: %s", err, strings.TrimSpace(why.String()))
	}
	return out, json.Unmarshal(text, &out)
}

// free returns an unused port.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (b *bench) write(name, text string) string {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err) // the directory is ours
	}
	return path
}

// command runs a program for preparations.
func command(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}

// proxy is a running proxy.
type proxy struct {
	name string
	addr string
	*process
}

// pids returns the proxy's processes: the started one and its children.
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

// time returns how long the proxy's threads have been running, and how long they were
// ready to run but waiting for the core.
func (p *proxy) time() (ran, waited time.Duration) {
	for _, pid := range p.pids() {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, thread := range threads {
			text, _ := os.ReadFile(thread)
			if fields := strings.Fields(string(text)); len(fields) > 1 {
				r, _ := strconv.ParseInt(fields[0], 10, 64)
				w, _ := strconv.ParseInt(fields[1], 10, 64)
				ran, waited = ran+time.Duration(r), waited+time.Duration(w)
			}
		}
	}
	return ran, waited
}

// memory returns the proxy's resident memory in MiB, and its peak since forgetPeak.
func (p *proxy) memory() (now, peak float64) {
	for _, pid := range p.pids() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			kib, _ := strconv.ParseFloat(fields[1], 64)
			switch fields[0] {
			case "VmRSS:":
				now += kib / 1024
			case "VmHWM:":
				peak += kib / 1024
			}
		}
	}
	return now, peak
}

// forgetPeak resets the kernel's peak counter.
func (p *proxy) forgetPeak() {
	for _, pid := range p.pids() {
		os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
}
