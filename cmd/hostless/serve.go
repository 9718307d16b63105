package main

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// daemonOptions are the daemon's flags that serve and proxy start take.
type daemonOptions struct {
	port        int // -1 leaves it to the daemon
	tls         bool
	verbose     bool
	devMode     bool
	persistence string
	cert, key   string // absolute paths of the user's own certificate and key
}

// daemonFlags are the flags that serve and proxy start share.
func daemonFlags(tls string) []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "port", Aliases: []string{"p"}, Usage: "listen on the loopback `PORT`; 0 for any free one", Value: -1},
		&cli.BoolFlag{Name: tls, Usage: "serve https as well as http on the same port"},
		&cli.StringFlag{Name: "cert", Usage: "serve https with the certificate in `FILE` for the names in it; needs --key"},
		&cli.StringFlag{Name: "key", Usage: "the private key of --cert, in `FILE`"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "write each request to the log"},
		&cli.BoolFlag{Name: "dev-mode", Usage: "accept requests of your own local programs without a token"},
		&cli.StringFlag{Name: "token-persistence", Usage: "whether tokens are kept across restarts: `WHERE` is off, file or keychain"},
	}
}

// daemonOptionsOf reads daemonFlags.
func daemonOptionsOf(cc *cli.Context, https string) (o daemonOptions, err error) {
	o = daemonOptions{port: cc.Int("port"), tls: cc.Bool(https), verbose: cc.Bool("verbose"), devMode: cc.Bool("dev-mode"), persistence: cc.String("token-persistence")}
	if cc.IsSet("port") && (o.port < 0 || o.port > 65535) {
		return o, usage("--port %d is not between 0 and 65535", o.port)
	}
	if o.persistence != "" && !slices.Contains(persistences(), o.persistence) {
		return o, usage("--token-persistence %q is not one of %s", o.persistence, strings.Join(persistences(), ", "))
	}
	if o.cert, o.key = cc.String("cert"), cc.String("key"); (o.cert == "") != (o.key == "") {
		return o, usage("--cert and --key need each other")
	}
	if o.cert == "" {
		return o, nil
	}
	o.tls = true
	if _, err := tls.LoadX509KeyPair(o.cert, o.key); err != nil {
		return o, usage("--cert and --key cannot be used: %v", err)
	}
	for _, file := range []*string{&o.cert, &o.key} {
		if *file, err = filepath.Abs(*file); err != nil {
			return o, err
		}
	}
	return o, nil
}

// args returns the options as arguments of hostlessd.
func (o daemonOptions) args() (args []string) {
	if o.port >= 0 {
		args = append(args, "--port", strconv.Itoa(o.port))
	}
	if o.tls {
		args = append(args, "--tls")
	}
	if o.cert != "" {
		args = append(args, "--cert", o.cert, "--key", o.key)
	}
	if o.verbose {
		args = append(args, "--verbose")
	}
	if o.devMode {
		args = append(args, "--dev-mode")
	}
	if o.persistence != "" {
		args = append(args, "--token-persistence", o.persistence)
	}
	return args
}

func serveGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "serve", Usage: "run the daemon in the foreground",
		Flags: append(daemonFlags("tls"),
			&cli.BoolFlag{Name: "daemon", Usage: "run it in the background, as `proxy start` does"}, jsonFlag()),
		Description: "  hostless serve --port 48282\n  hostless serve --dev-mode --verbose",
	}, 0, 0, func(cc *cli.Context) error {
		o, err := daemonOptionsOf(cc, "tls")
		if err != nil {
			return err
		}
		if cc.Bool("daemon") {
			return e.startBackground(cc.Context, o)
		}
		return e.becomeDaemon(o)
	})
}

// becomeDaemon replaces this process with the daemon, which gets its signals, standard
// streams and exit code.
func (e *env) becomeDaemon(o daemonOptions) error {
	if e.line.json {
		return usage("--json needs a daemon in the background: in the foreground it prints its log")
	}
	path, err := e.daemonBinary()
	if err != nil {
		return err
	}
	err = syscall.Exec(path, append([]string{path}, o.args()...), e.environ())
	return fmt.Errorf("start %s: %w", path, err)
}
