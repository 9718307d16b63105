package main

import (
	"context"
	"errors"
	"io/fs"
	"runtime"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

func trustGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "trust", Usage: "make browsers and the system trust the local certificate authority",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "uninstall", Usage: "remove it from the trust stores"},
			&cli.BoolFlag{Name: "json", Usage: "print the result as JSON"},
		},
		Description: "Only https:// needs it. The authority is limited to localhost and the names that Hostless serves; its key\nis in ca.key and never leaves the Hostless home. Stores: the system's, NSS (Chromium, Firefox), Java's.",
	}, 0, 0, e.trust)
}

func caGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "ca", Usage: "the local certificate authority",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{Name: "path", Usage: "print the path of its certificate; create it first if there is none", Flags: []cli.Flag{
				&cli.BoolFlag{Name: "lan", Usage: "of the CA of hostless share --lan, to install on other devices"},
			}}, 0, 0,
				func(cc *cli.Context) error {
					if cc.Bool("lan") {
						paths, err := e.paths()
						if err == nil {
							_, err = certs.NewLAN(paths.Home)
						}
						if err != nil {
							return err
						}
						return e.printLine("%s", certs.LANCertPath(paths.Home))
					}
					dir, err := e.authority()
					if err != nil {
						return err
					}
					return e.printLine("%s", certs.CertPath(dir))
				}),
		},
	}
}

// authority creates the authority if there is none, and returns its directory.
func (e *env) authority() (string, error) {
	paths, err := e.paths()
	if err != nil {
		return "", err
	}
	_, err = certs.Load(paths.Home)
	if errors.Is(err, fs.ErrNotExist) {
		var domains []string // of a running daemon, which would replace the authority if it did not cover them
		if client, err := e.client(); err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), startProbe*10)
			domains = domainsOf(ctx, client).Custom()
			cancel()
			client.CloseIdle()
		}
		_, err = certs.New(certs.Config{Dir: paths.Home, Domains: domains})
	}
	return paths.Home, err
}

func (e *env) trust(cc *cli.Context) error {
	dir, err := e.authority()
	if err != nil {
		return err
	}
	t := certs.Trust{Dir: dir, Getenv: e.getenv, Look: e.lookPath, Sudo: isTerminal(e.in)}
	change, want := t.Install, certs.Trusted
	if cc.Bool("uninstall") {
		change, want = t.Uninstall, certs.Untrusted
	}
	results, err := change(cc.Context)
	if err != nil {
		return err
	}
	failed := 0
	rows := make([][]string, 0, len(results))
	for _, r := range results {
		if r.State == certs.Failed || (r.State != want && r.State != certs.Unavailable) {
			failed++
		}
		rows = append(rows, []string{r.Store, r.State, r.Path, r.Detail})
	}
	if e.line.json {
		err = e.result(struct {
			Stores []certs.StoreResult `json:"stores"`
		}{results})
	} else if len(results) > 0 {
		err = e.table([]string{"STORE", "STATE", "PATH", "DETAIL"}, rows)
	}
	if want == certs.Trusted && runtime.GOOS == "linux" && !t.CoversChromium() {
		e.note("Chrome and Chromium are not covered: they have no certificate database yet. Start the browser once, then run hostless trust again.")
	}
	switch {
	case err != nil:
		return err
	case len(results) == 0:
		return &fault.Error{Kind: fault.NotFound, Message: "no trust store was found: install the package ca-certificates, or start a browser once"}
	case failed > 0:
		return fault.New(fault.Internal, count(failed, "trust store")+" could not be changed")
	}
	if want == certs.Trusted && !e.line.json {
		e.note("Node reads none of these stores: outside of hostless run set NODE_EXTRA_CA_CERTS=$(hostless ca path)")
	}
	return nil
}
