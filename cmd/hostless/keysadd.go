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
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// maxKey bounds what is read of a key: service account files are a few KiB.
const maxKey = 64 << 10

func keysAddCommand(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "add", Usage: "store a provider's key", ArgsUsage: "PROVIDER [KEY]",
		UsageText: "hostless keys add PROVIDER [KEY|-]\nhostless keys add KEY",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "refer to a key kept elsewhere: `REF` such as op://VAULT/ITEM/FIELD"},
			&cli.StringFlag{Name: "label", Usage: "one of several keys of the provider, labelled `L`"},
			&cli.BoolFlag{Name: "no-key", Usage: "the provider takes no key"},
			&cli.BoolFlag{Name: "keep-key", Usage: "change the rest, and keep the stored key"},
			&cli.StringFlag{Name: "base-url", Usage: "the provider is at `URL`, with or without its version path"},
			&cli.StringFlag{Name: "dialect", Usage: "the dialect of the base URL: `NAME` is openai, anthropic or gemini"},
			&cli.BoolFlag{Name: "allow-private", Usage: "the base URL may lead into a private network"},
			&cli.StringSliceFlag{Name: "attribute", Usage: "tell the provider of each request, as in app=x-litellm-tags: `WHAT=HEADER`, where WHAT is app, token or request; without HEADER no more"},
			jsonFlag(),
		},
		Description: "Without KEY, or with -, the key is read from standard input; a terminal does not show it. Where nothing\n" +
			"comes, nothing changes. A KEY given as an argument ends in the shell's history. A key alone finds its\n" +
			"provider where its format identifies it. A local one (ollama, lmstudio, vllm, llamacpp) is found on its port\n" +
			"and needs no key. A key that changes keeps its base URL.\n\n" +
			"With --from the key is not stored at all: op://VAULT/ITEM/FIELD, bw://ID/FIELD, pass://PATH,\n" +
			"keyring://SERVICE/ACCOUNT, env://NAME (of the daemon), file:///PATH, cmd://NAME (hostless command add).\n\n" +
			"  hostless keys add openai\n" +
			"  pass show groq | hostless keys add groq -\n" +
			"  hostless keys add groq --from pass://ai/groq\n" +
			"  hostless keys add mine --no-key --base-url http://localhost:8000/v1",
	}, 1, 2, e.keysAdd)
}

// parseAttributes reads WHAT=HEADER; nil for none.
func parseAttributes(list []string) (map[string]string, error) {
	var out map[string]string
	for _, text := range list {
		what, header, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usage("--attribute takes WHAT=HEADER such as app=x-litellm-tags, not %q", text)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[strings.TrimSpace(what)] = strings.TrimSpace(header)
	}
	return out, nil
}

// keyToAdd is a `keys add` that has been read.
type keyToAdd struct {
	name    string
	req     control.KeyRequest
	given   bool // the key was an argument
	dash    bool // it comes from standard input, whatever the provider needs
	keep    bool // the stored key stays
	local   *provider.Provider
	stored  *control.KeyInfo // the entry that is there already
	sibling bool             // the provider is stored, under another label
}

func (e *env) keysAdd(cc *cli.Context) error {
	add, err := e.parseKeysAdd(cc)
	if err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	if err := add.lookUp(cc.Context, client); err != nil {
		return err
	}
	if err := e.obtainKey(add); err != nil {
		return err
	}
	if add.local != nil && add.req.BaseURL == "" {
		base, models, err := e.findLocal(cc.Context, add.local)
		if err != nil {
			return err
		}
		e.note("%s was found at %s: %s", add.local.Title, base, count(models, "model"))
		add.req.BaseURL = base
	}
	return ask(e, func(c *control.Client) (control.KeyStored, error) { return c.PutKey(cc.Context, add.name, add.req) }, e.showStored)
}

// parseKeysAdd reads the command line.
func (e *env) parseKeysAdd(cc *cli.Context) (*keyToAdd, error) {
	word, key := cc.Args().Get(0), cc.Args().Get(1)
	add := &keyToAdd{given: cc.NArg() == 2 && key != "-", dash: key == "-", keep: cc.Bool("keep-key")}
	if cc.NArg() == 1 && cc.String("from") == "" {
		if p := providerOfKey(word); p != "" {
			word, key, add.given = p, word, true
			e.note("This looks like a key of %s.", p)
		}
	}
	add.name = canonical(word)
	if !provider.ValidName(add.name) {
		return nil, usage("this is not a provider's name: lower-case letters, digits, '-', '_' and '.' are allowed") // it may be a key: not shown
	}
	if d := cc.String("dialect"); d != "" && d != "openai" && d != "anthropic" && d != "gemini" {
		return nil, usage("--dialect %q is not openai, anthropic or gemini", d)
	}
	if base := cc.String("base-url"); base != "" {
		if _, err := provider.ParseBaseURL(base); err != nil {
			return nil, usage("--base-url: %v", err)
		}
	}
	sources := 0
	for _, given := range []bool{add.given || add.dash, cc.IsSet("from"), cc.Bool("no-key"), add.keep} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return nil, usage("give one of KEY, -, --from, --no-key and --keep-key")
	}
	var err error
	add.req = control.KeyRequest{
		Reference: cc.String("from"), Label: cc.String("label"), NoKey: cc.Bool("no-key"),
		BaseURL: cc.String("base-url"), Dialect: cc.String("dialect"), AllowPrivate: cc.Bool("allow-private"),
	}
	if add.req.Attributes, err = parseAttributes(cc.StringSlice("attribute")); err != nil {
		return nil, err
	}
	if cc.IsSet("from") && !strings.Contains(add.req.Reference, "://") {
		return nil, usage("--from takes a reference such as op://VAULT/ITEM/FIELD, not a key") // it may be one: not shown
	}
	if add.given {
		if add.req.Key, err = e.checkKey(add.name, key); err != nil {
			return nil, err
		}
		if isTerminal(e.in) && isTerminal(e.err) {
			e.note("The key is in the shell's history now: without it on the line, keys add asks for it.")
		}
	}
	if p := provider.Default().Get(add.name); p != nil && p.Port != 0 {
		add.local = p
	}
	return add, nil
}

// lookUp finds what is stored already, and refuses a provider that is not known at
// all before anybody types a key.
func (add *keyToAdd) lookUp(ctx context.Context, client *control.Client) error {
	l, err := client.Keys(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, k := range l.Keys {
		if k.Provider == add.name {
			add.sibling = add.sibling || k.BaseURL != ""
			if k.Label == add.req.Label {
				add.stored = &k
			}
		}
		names = append(names, k.Provider)
	}
	known := provider.Default().Get(add.name) != nil
	if known || add.req.BaseURL != "" || add.stored != nil || add.sibling {
		return nil
	}
	for _, p := range provider.Default().All() {
		names = append(append(names, p.Name), p.Aliases...)
	}
	f := &fault.Error{
		Kind: fault.Invalid, Message: fmt.Sprintf("provider %q is not in the catalogue, so it needs a base URL", add.name),
		Next: fmt.Sprintf("hostless keys add %s --base-url https://…", add.name),
	}
	if near := nearest(add.name, names); near != "" {
		f.Message = fmt.Sprintf("there is no provider %q in the catalogue", add.name)
		f.Next = fmt.Sprintf("did you mean hostless keys add %s? Another server takes --base-url URL", near)
	}
	return f
}

// obtainKey reads the key where one is to be read. Nothing read is an error, but
// for a local server that was not named with -.
func (e *env) obtainKey(add *keyToAdd) error {
	hasKey := add.stored != nil && add.stored.HasKey
	switch {
	case add.given || add.req.Reference != "" || add.req.NoKey:
		return nil
	case add.keep && !hasKey:
		return &fault.Error{Kind: fault.Invalid, Message: keyName(add.name, add.req.Label) + " has no key to keep", Next: "hostless keys list"}
	case add.keep:
		return nil
	case add.local != nil && !add.dash && isTerminal(e.in):
		return nil // a local server needs no key, so nobody is asked for one
	}
	text, err := e.readKey("Key for " + keyName(add.name, add.req.Label) + " (not shown): ")
	if err != nil {
		return err
	}
	if text == "" && add.local != nil && !add.dash {
		return nil
	}
	if text == "" {
		f := &fault.Error{Kind: fault.Invalid, Message: "no key was given: standard input is empty, nothing was changed"}
		if isTerminal(e.in) {
			f.Message = "no key was given, nothing was changed"
		}
		switch rest := strings.TrimSuffix(" --base-url "+add.req.BaseURL, " --base-url "); {
		case hasKey && rest != "":
			f.Next = "hostless keys add " + add.name + rest + " --keep-key, which keeps the stored key"
		case rest != "":
			f.Next = "hostless keys add " + add.name + rest + " --no-key, where it takes none"
		default:
			f.Next = "check the program before the |; a server without a key is added with --no-key --base-url URL"
		}
		return f
	}
	add.req.Key, err = e.checkKey(add.name, text)
	return err
}

// checkKey makes a key of what was typed or pasted: quotes around it go, blanks in
// it are refused, and a key of another provider's shape is remarked on.
func (e *env) checkKey(name, text string) (control.Secret, error) {
	text = strings.TrimSpace(text)
	if n := len(text); n > 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		text = text[1 : n-1]
		e.note("The quotes around the key were left out.")
	}
	if strings.ContainsAny(text, " \t\r\n") {
		return control.Secret{}, usage("the key has blanks or line ends in it")
	}
	if p := provider.Default().ByKey(text); p != nil && p.Name != name && provider.Default().Get(name) != nil {
		e.note("This looks like a key of %s, not of %s.", p.Name, name)
	}
	return control.NewSecret(text), nil
}

// showStored says what was stored, where, and what else there is to know.
func (e *env) showStored(k control.KeyStored) error {
	what := "key stored"
	switch {
	case k.Reference != "":
		what = "reference stored"
	case !k.HasKey:
		what = "stored without a key"
	}
	details := []string{k.Storage}
	if shown := shownKey(k.KeyInfo); k.HasKey && shown != "set" {
		details = append(details, shown)
	}
	if k.BaseURL != "" {
		details = append(details, k.BaseURL)
	}
	if k.Note != "" {
		e.note("%s", k.Note)
	}
	return e.printLine("%s: %s (%s)", keyName(k.Provider, k.Label), what, strings.Join(details, ", "))
}

// readKey reads a key from standard input, without echo on a terminal.
func (e *env) readKey(prompt string) (string, error) {
	if isTerminal(e.in) {
		return e.promptSecret(prompt)
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

// promptSecret asks for a secret on a terminal. The echo is off before the prompt
// shows; Ctrl-C ends the command.
func (e *env) promptSecret(prompt string) (string, error) {
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
	key, err := terminal.ReadPassword(prompt)
	if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D
		fmt.Fprint(e.err, "\r\n")
		return "", exitError(exitInterrupted)
	}
	return key, err
}
