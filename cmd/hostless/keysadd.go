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

// maxKey limits the size of a key, in bytes: service account files are a few KiB.
const maxKey = 64 << 10

func keysAddCommand(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "add", Usage: "store a provider's key", ArgsUsage: "PROVIDER [KEY]",
		UsageText: "hostless keys add PROVIDER [KEY|-]\nhostless keys add KEY",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "use a key that is kept elsewhere: `REF` is a reference such as op://VAULT/ITEM/FIELD"},
			&cli.StringFlag{Name: "label", Usage: "the key's label `L`, where a provider has several keys"},
			&cli.BoolFlag{Name: "no-key", Usage: "the provider takes no key"},
			&cli.BoolFlag{Name: "keep-key", Usage: "keep the stored key, and change the rest"},
			&cli.StringFlag{Name: "base-url", Usage: "the provider is at `URL`, with or without its version path"},
			&cli.StringFlag{Name: "dialect", Usage: "the dialect of the base URL: `NAME` is openai, anthropic or gemini"},
			&cli.BoolFlag{Name: "allow-private", Usage: "allow a base URL in a private network"},
			&cli.StringSliceFlag{Name: "attribute", Usage: "send the app, token or request of each call to the provider: `WHAT=HEADER`, as in app=x-litellm-tags; WHAT= ends that"},
			jsonFlag(),
		},
		Description: "Without KEY, or with -, the key is read from standard input; a terminal does not show it. Empty input\n" +
			"changes nothing. A KEY given as an argument ends in the shell's history. PROVIDER can be left out where\n" +
			"the key's format identifies it. A local server (ollama, lmstudio, vllm, llamacpp) is found on its port and\n" +
			"needs no key. A new key keeps the stored base URL.\n\n" +
			"With --from only a reference to the key is stored: op://VAULT/ITEM/FIELD, bw://ID/FIELD, pass://PATH,\n" +
			"keyring://SERVICE/ACCOUNT, env://NAME (of the daemon), file:///PATH, cmd://NAME (hostless command add).\n\n" +
			"  hostless keys add openai\n" +
			"  pass show groq | hostless keys add groq -\n" +
			"  hostless keys add groq --from pass://ai/groq\n" +
			"  hostless keys add mine --no-key --base-url http://localhost:8000/v1",
	}, 1, 2, e.keysAdd)
}

// parseAttributes parses WHAT=HEADER arguments; nil for none.
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

// keyToAdd is a parsed `keys add`.
type keyToAdd struct {
	name    string
	req     control.KeyRequest
	given   bool // the key was an argument
	dash    bool // "-" was given: read it from standard input even if the provider needs none
	keep    bool // the stored key stays
	local   *provider.Provider
	stored  *control.KeyInfo // the entry to be replaced, if any
	sibling bool             // the provider has a key under another label
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

// parseKeysAdd parses the command line.
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
		return nil, usage("this is not a provider's name: lower-case letters, digits, '-', '_' and '.' are allowed") // not shown, since it may be a key
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
		return nil, usage("--from takes a reference such as op://VAULT/ITEM/FIELD, not a key") // not shown, since it may be a key
	}
	if add.given {
		if add.req.Key, err = e.checkKey(add.name, key); err != nil {
			return nil, err
		}
		if isTerminal(e.in) && isTerminal(e.err) {
			e.note("The key is now in the shell's history: without a KEY argument, keys add asks for it.")
		}
	}
	if p := provider.Default().Get(add.name); p != nil && p.Port != 0 {
		add.local = p
	}
	return add, nil
}

// lookUp finds what is already stored, and refuses an unknown provider before the user
// types a key.
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

// obtainKey reads the key if one is needed. Empty input is an error, except for a local
// server without "-".
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
		return nil // a local server needs no key
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
			f.Next = "check the program before the |; for a server without a key use --no-key --base-url URL"
		}
		return f
	}
	add.req.Key, err = e.checkKey(add.name, text)
	return err
}

// checkKey cleans up a key that was typed or pasted. It removes quotes, refuses blanks
// and line ends, and prints a note where the key has the format of another provider.
func (e *env) checkKey(name, text string) (control.Secret, error) {
	text = strings.TrimSpace(text)
	if n := len(text); n > 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		text = text[1 : n-1]
		e.note("The quotes around the key were removed.")
	}
	if strings.ContainsAny(text, " \t\r\n") {
		return control.Secret{}, usage("the key contains blanks or line ends")
	}
	if p := provider.Default().ByKey(text); p != nil && p.Name != name && provider.Default().Get(name) != nil {
		e.note("This looks like a key of %s, not of %s.", p.Name, name)
	}
	return control.NewSecret(text), nil
}

// showStored prints what was stored and where, with the daemon's notes.
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

// promptSecret asks for a secret on a terminal. It turns off the echo before it prints
// the prompt; Ctrl-C ends the command.
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
