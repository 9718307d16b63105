// Command hostlessd is the Hostless daemon: the AI gateway and the app proxy on
// one loopback port, administered over its control socket.
//
// It owns its flags and exit codes; package daemon does the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	_ "github.com/hostless/hostless/cmd/hostlessd/xconnect" // before net/http
	"github.com/hostless/hostless/pkg/build"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/daemon"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys/vault"
)

// version is set by the linker.
var version = ""

func main() {
	if len(os.Args) > 1 && os.Args[1] == vault.HelperArg {
		os.Exit(keychainHelper())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := app().RunContext(ctx, os.Args)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "hostlessd: "+err.Error())
	var f *fault.Error
	if !errors.As(err, &f) {
		os.Exit(1)
	}
	os.Exit(f.Kind.Exit())
}

// keychainHelper is the main function of the process that accesses the OS keychain for a
// daemon. It returns the exit code.
func keychainHelper() int {
	if err := daemon.Harden(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return vault.Helper(os.Args[2:], os.Stdin, os.Stdout, os.Stderr)
}

// help has the layout of the client's help.
const help = `{{.Usage}}

usage: {{.UsageText}}

{{range .VisibleFlags}}  {{.}}
{{end}}`

func app() *cli.App {
	cli.VersionPrinter = func(c *cli.Context) { fmt.Fprintln(c.App.Writer, "hostlessd "+c.App.Version) }
	wrong := func(_ *cli.Context, err error, _ bool) error { return fault.New(fault.Usage, err.Error()) }
	return &cli.App{
		Name: "hostlessd", Usage: "the Hostless daemon", Version: build.Version(version),
		UsageText:       "hostlessd [FLAGS]",
		HideHelpCommand: true, OnUsageError: wrong, CustomAppHelpTemplate: help,
		ExitErrHandler: func(*cli.Context, error) {}, // only main exits
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "port", Aliases: []string{"p"}, EnvVars: []string{"HOSTLESS_PORT"}, Usage: "listen on the loopback `PORT`; 0 for any free one (default: the setting port, 48282)"},
			&cli.StringFlag{Name: "cert", Usage: "serve https with the certificate in `FILE` for the names in it; needs --key (default: the setting)"},
			&cli.StringFlag{Name: "key", Usage: "the private key of --cert, in `FILE`"},
			&cli.BoolFlag{Name: "tls", DisableDefaultText: true, Usage: "serve https as well as http on the same port (default: the setting)"},
			&cli.BoolFlag{Name: "verbose", DisableDefaultText: true, Usage: "write each request to the log"},
			&cli.BoolFlag{Name: "dev-mode", DisableDefaultText: true, Usage: "accept requests of your own local programs without a token"},
			&cli.StringFlag{Name: "idle-timeout", Usage: "end after `TIME` without work, where a service manager holds the sockets: 30m, or off (default: the setting)"},
			&cli.StringFlag{Name: "token-persistence", Usage: "whether tokens are kept across restarts: `WHERE` is off, file or keychain (default: the setting)"},
		},
		Action: run,
	}
}

// run runs the daemon with the flags of the command line.
func run(c *cli.Context) error {
	if c.Args().Present() {
		return fault.New(fault.Usage, fmt.Sprintf("unknown argument %q", c.Args().First()))
	}
	cfg := daemon.Config{
		Version: c.App.Version, Port: -1, Verbose: c.Bool("verbose"), DevMode: c.Bool("dev-mode"),
		TokenPersistence: c.String("token-persistence"),
	}
	cfg.CertFile, cfg.KeyFile = c.String("cert"), c.String("key")
	if c.IsSet("tls") {
		tls := c.Bool("tls")
		cfg.TLS = &tls
	}
	if text := c.String("idle-timeout"); text != "" {
		d, err := config.ParseIdleTimeout(text)
		if err != nil {
			return fault.New(fault.Usage, fmt.Sprintf("--idle-timeout is %s, not %q", err, text))
		}
		cfg.IdleTimeout = &d
	}
	if text := c.String("port"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return fault.New(fault.Usage, fmt.Sprintf("port %q is not a number from 0 to 65535", text))
		}
		cfg.Port = int(n)
	}
	switch cfg.TokenPersistence {
	case "", config.PersistOff, config.PersistFile, config.PersistKeychain:
	default:
		return fault.New(fault.Usage, fmt.Sprintf("--token-persistence is off, file or keychain, not %q", cfg.TokenPersistence))
	}
	var err error
	if cfg.Program, err = program(os.Args[0]); err != nil {
		return err
	}
	cfg.Arguments = os.Args[1:]
	if cfg.Paths, err = config.Locate(os.Getenv); err != nil {
		return err
	}
	if err := daemon.Harden(); err != nil {
		return err
	}
	if cfg.Keychain, err = vault.NewProcess(os.Getenv); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // the daemon survives the reader of its log
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	cfg.Hangup = hangups(ctx, cancel)
	if term.IsTerminal(int(os.Stdout.Fd())) {
		cfg.Ready = announce
	}
	return daemon.Run(ctx, cfg)
}

// announce prints the daemon's URL. It is called if standard output is a terminal.
func announce(port int, tls bool) {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	fmt.Printf("Hostless is up on %s://localhost:%d (Ctrl-C ends it)\n", scheme, port)
}

// program returns the absolute path by which this process was started. A restart runs
// what is at that path then, which may be a newer version.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find hostlessd's own program: %w", err)
	}
	return filepath.Abs(path)
}

// hangups returns a channel of the SIGHUPs that ask for a reload. If the terminal in
// which the daemon was started has closed, it calls end instead.
func hangups(ctx context.Context, end func()) <-chan os.Signal {
	atTerminal := func() bool { return term.IsTerminal(int(os.Stderr.Fd())) }
	started := atTerminal()
	in, out := make(chan os.Signal, 1), make(chan os.Signal)
	signal.Notify(in, syscall.SIGHUP)
	go func() {
		for s := range in {
			if started && !atTerminal() {
				end()
				return
			}
			select {
			case out <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
