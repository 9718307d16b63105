package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// maxKey bounds what is read of a key: service account files are a few KiB.
const maxKey = 64 << 10

func keysGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "keys", Usage: "provider keys: stored once, used by the daemon alone",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "add", Usage: "store a provider's key", ArgsUsage: "PROVIDER [KEY]",
				UsageText: "hostless keys add PROVIDER [KEY|-]\nhostless keys add KEY",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "base-url", Usage: "the provider is at `URL`, with or without its version path"},
					&cli.StringFlag{Name: "dialect", Usage: "what a base URL speaks: `NAME` is openai, anthropic or gemini"},
					&cli.BoolFlag{Name: "allow-private", Usage: "the base URL may lead into a private network"},
					jsonFlag(),
				},
				Description: "Without KEY, or with -, the key is read from standard input; a terminal does not show it.\n" +
					"A KEY given as an argument ends in the shell's history. A key alone finds its provider\nwhere its shape tells it. A local one (ollama, lmstudio, vllm, llamacpp) is found on its port and needs no key.\n" +
					"A provider that was given a base URL keeps it when its key changes.\n\n" +
					"  hostless keys add openai\n" +
					"  pass show groq | hostless keys add groq -\n" +
					"  hostless keys add mine - --base-url http://localhost:8000/v1 </dev/null",
			}, 1, 2, e.keysAdd),
			leaf(&cli.Command{Name: "list", Usage: "list the providers that have a key", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.keysList),
			leaf(&cli.Command{Name: "remove", Aliases: []string{"rm"}, Usage: "remove a provider's key", ArgsUsage: "PROVIDER", Flags: []cli.Flag{jsonFlag()}}, 1, 1,
				func(cc *cli.Context) error {
					name := canonical(cc.Args().First())
					return ask(e, func(c *control.Client) (control.Outcome, error) { return c.DeleteKey(cc.Context, name) },
						func(control.Outcome) error { return e.say("%s: key removed", name) })
				}),
			keysTest(e),
		},
	}
}

// canonical gives a provider's name for one of its aliases.
func canonical(name string) string { return provider.Default().Canonical(name) }

func (e *env) keysAdd(cc *cli.Context) error {
	name, key := cc.Args().Get(0), cc.Args().Get(1)
	given := cc.NArg() == 2 && key != "-"
	if cc.NArg() == 1 {
		if p := providerOfKey(name); p != "" {
			name, key, given = p, name, true
			e.note("This looks like a key of %s.", p)
		}
	}
	name = canonical(name)
	if !provider.ValidName(name) {
		return usage("that is no provider's name: lower-case letters, digits, '-', '_' and '.' are allowed") // it may be a key: not shown
	}
	if d := cc.String("dialect"); d != "" && d != "openai" && d != "anthropic" && d != "gemini" {
		return usage("--dialect %q is not openai, anthropic or gemini", d)
	}
	if base := cc.String("base-url"); base != "" {
		if _, err := provider.ParseBaseURL(base); err != nil {
			return usage("--base-url: %v", err)
		}
	}
	req := control.KeyRequest{
		BaseURL: cc.String("base-url"), Dialect: cc.String("dialect"), AllowPrivate: cc.Bool("allow-private"),
	}
	local := provider.Default().Get(name)
	if local != nil && local.Port == 0 {
		local = nil
	}
	// A local server needs no key, so nobody is asked for one.
	if !given && (local == nil || cc.NArg() == 2 || !isTerminal(e.in)) {
		var err error
		if key, err = e.readKey(name); err != nil {
			return err
		}
	}
	if local != nil && req.BaseURL == "" {
		base, models, err := e.findLocal(cc.Context, local)
		if err != nil {
			return err
		}
		e.note("%s was found at %s: %s", local.Title, base, count(models, "model"))
		req.BaseURL = base
	}
	if key = strings.TrimSpace(key); key != "" {
		if strings.ContainsAny(key, " \t\r\n") {
			return usage("the key has blanks or line ends in it")
		}
		req.Key = control.NewSecret(key)
	}
	put := func(c *control.Client) (control.KeyStored, error) {
		if req.BaseURL == "" && req.Dialect == "" {
			if err := e.keepPlace(cc.Context, c, name, &req); err != nil {
				return control.KeyStored{}, err
			}
		}
		return c.PutKey(cc.Context, name, req)
	}
	return ask(e, put,
		func(k control.KeyStored) error {
			what, details := "key stored", []string{}
			if req.Key.IsZero() {
				what = "stored without a key"
			}
			for _, d := range []string{k.Storage, hint(k.KeyInfo), k.BaseURL} {
				if d != "" {
					details = append(details, d)
				}
			}
			return e.say("%s: %s (%s)", name, what, strings.Join(details, ", "))
		})
}

// keepPlace keeps where a provider's requests go while its key changes: a key of a
// server of one's own must not go to the provider for want of a flag.
func (e *env) keepPlace(ctx context.Context, c *control.Client, name string, req *control.KeyRequest) error {
	l, err := c.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range l.Keys {
		if k.Provider == name && k.BaseURL != "" {
			req.BaseURL, req.Dialect, req.AllowPrivate = k.BaseURL, k.Dialect, req.AllowPrivate || k.AllowPrivate
			e.note("%s keeps its base URL; hostless keys remove %s first takes it away", name, name)
		}
	}
	return nil
}

// providerOfKey tells whose key a lone argument is, or "" where it is a
// provider's name.
func providerOfKey(word string) string {
	known := provider.Default()
	if known.Get(word) != nil || len(word) < 16 {
		return ""
	}
	if p := known.ByKey(word); p != nil {
		return p.Name
	}
	return ""
}

// readKey reads a key from standard input, without echo on a terminal.
func (e *env) readKey(name string) (string, error) {
	if isTerminal(e.in) {
		return e.promptKey(name)
	}
	key, err := io.ReadAll(io.LimitReader(e.in, maxKey+1))
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	if len(key) > maxKey {
		return "", usage("the key on standard input is longer than %d bytes", maxKey)
	}
	return string(bytes.TrimSpace(key)), nil
}

// promptKey asks for a key on a terminal. The echo is off before the prompt
// shows; Ctrl-C ends the command.
func (e *env) promptKey(name string) (string, error) {
	fd := int(e.in.(*os.File).Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("turn off the terminal's echo: %w", err)
	}
	defer term.Restore(fd, before)
	terminal := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{e.in, e.err}, "")
	key, err := terminal.ReadPassword("Key for " + name + " (not shown): ")
	if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D
		fmt.Fprint(e.err, "\r\n")
		return "", exitError(exitInterrupted)
	}
	return key, err
}

func (e *env) keysList(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.KeyList, error) { return c.Keys(cc.Context) },
		func(l control.KeyList) error {
			if len(l.Keys) == 0 {
				e.note("No keys. Add one: hostless keys add openai. Without any, the model echo/text answers.")
				return nil
			}
			var rows [][]string
			for _, k := range l.Keys {
				rows = append(rows, []string{k.Provider, hint(k), k.Storage, k.BaseURL})
			}
			return e.table([]string{"PROVIDER", "KEY", "STORAGE", "BASE URL"}, rows)
		})
}

// hint is what may be shown of a key: its end, or why even that is not known.
func hint(k control.KeyInfo) string {
	switch {
	case k.Locked:
		return "locked"
	case k.Hint == "":
		return ""
	}
	return "…" + strings.TrimPrefix(k.Hint, "…")
}
