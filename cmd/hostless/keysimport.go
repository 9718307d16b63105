package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
)

func keysImportCommand(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "import", Usage: "find keys in the environment and in .env files, and store them", ArgsUsage: "[FILE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be stored, and change nothing"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask"},
			&cli.BoolFlag{Name: "replace", Usage: "replace each stored key in the files with a bridge token, and add the gateway's address"},
			jsonFlag(),
		},
		Description: "Without FILE it searches the environment, and .env and .env.* in this directory and up to five levels below it\n" +
			"(not example, sample and template; not in hidden directories or node_modules). Keys are recognised by their format,\n" +
			"or by their variable's name. --replace leaves the rest of a file as it is, byte for byte; a key whose SDK cannot be\n" +
			"directed to the gateway by a variable is not replaced.",
	}, 0, 256, e.keysImport)
}

// foundKey is a key that was found.
type foundKey struct {
	Provider string `json:"provider"`
	Shown    string `json:"key"`               // masked
	From     string `json:"from"`              // a file and line, or "environment"
	Variable string `json:"variable"`          //
	Skipped  string `json:"skipped,omitempty"` // why it is not stored
	Replaced bool   `json:"replaced"`          // with a bridge token, in its file

	value string
	file  *envFile
	at    assignment
}

// importResult is the result of keys import.
type importResult struct {
	DryRun bool        `json:"dry_run"`
	Keys   []*foundKey `json:"keys"`
}

func (e *env) keysImport(cc *cli.Context) error {
	found, err := e.findKeys(cc.Args().Slice())
	if err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	if err := skipStored(cc.Context, client, found); err != nil {
		return err
	}
	fresh := slices.DeleteFunc(slices.Clone(found), func(k *foundKey) bool { return k.Skipped != "" })
	result := importResult{DryRun: cc.Bool("dry-run"), Keys: append([]*foundKey{}, found...)}
	if !e.line.json {
		if err := e.showFound(found); err != nil {
			return err
		}
	}
	if !result.DryRun && len(found) > 0 {
		if err := e.confirmImport(cc, len(fresh), cc.Bool("replace")); err != nil {
			return err
		}
		for _, k := range fresh {
			stored, err := client.PutKey(cc.Context, k.Provider, control.KeyRequest{Key: control.NewSecret(k.value)})
			if err != nil {
				return err
			}
			if !e.line.json {
				if err := e.showStored(stored); err != nil {
					return err
				}
			}
		}
		if cc.Bool("replace") {
			if err := e.replaceKeys(cc.Context, client, found); err != nil {
				return err
			}
		}
	}
	if e.line.json {
		return e.result(result)
	}
	return nil
}

// showFound lists what was found, masked.
func (e *env) showFound(found []*foundKey) error {
	if len(found) == 0 {
		e.note("No keys were found.")
		return nil
	}
	var rows [][]string
	for _, k := range found {
		rows = append(rows, []string{k.Provider, k.Shown, k.Variable, k.From, cmp.Or(k.Skipped, "new")})
	}
	return e.table([]string{"PROVIDER", "KEY", "VARIABLE", "FROM", "WHAT"}, rows)
}

// confirmImport asks for confirmation, unless --yes was given.
func (e *env) confirmImport(cc *cli.Context, n int, replace bool) error {
	if cc.Bool("yes") {
		return nil
	}
	if !isTerminal(e.in) {
		return &fault.Error{Kind: fault.Invalid, Message: "nothing was changed: there is no terminal to confirm on", Next: "hostless keys import --yes"}
	}
	what := "Store " + count(n, "key")
	if replace {
		what += " and change the files"
	}
	fmt.Fprint(e.err, what+"? [y/N] ")
	answer, _ := bufio.NewReader(e.in).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return &fault.Error{Kind: fault.Invalid, Message: "nothing was changed", Next: "hostless keys import --yes"}
	}
	return nil
}

// findKeys searches the files, or where none are named the environment and the .env
// files of this directory.
func (e *env) findKeys(paths []string) (found []*foundKey, err error) {
	named := len(paths) > 0
	if !named {
		for _, kv := range e.environ() {
			name, value, _ := strings.Cut(kv, "=")
			if k := keyIn(name, value); k != nil {
				k.From = "environment"
				found = append(found, k)
			}
		}
		dir, err := e.dir()
		if err != nil {
			return nil, err
		}
		paths = findEnvFiles(dir)
	}
	for _, path := range paths {
		full := path
		if !filepath.IsAbs(full) {
			dir, err := e.dir()
			if err != nil {
				return nil, err
			}
			full = filepath.Join(dir, path)
		}
		f, err := readEnvFile(full)
		if err != nil && named {
			return nil, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("%s cannot be read", path), Err: err}
		}
		if err != nil {
			e.note("%s: skipped: it cannot be read", path)
			continue
		}
		f.shown = path
		for _, a := range f.assignments() {
			if k := keyIn(a.name, a.value); k != nil {
				k.From, k.file, k.at = fmt.Sprintf("%s:%d", path, a.line+1), f, a
				found = append(found, k)
			}
		}
	}
	return found, nil
}

// placeholder matches what example files have in place of a key.
var placeholder = regexp.MustCompile(`(?i)your|xxxx|\.\.\.|change.?me|example|placeholder|[<>{}$\s]`)

// keyIn returns the key that a variable holds, or nil. A key is recognised by its
// format, or by a variable named after a provider of the catalogue.
func keyIn(name, value string) *foundKey {
	value = strings.TrimSpace(value)
	if len(value) < 16 || strings.HasPrefix(value, "sk_local_") || placeholder.MatchString(value) {
		return nil
	}
	p := provider.Default().ByKey(value)
	if owner := providerOfVariable(name); owner != nil && (p == nil || p.Name == "openai") {
		p = owner // many providers' keys start with sk-
	}
	if p == nil || p.Builtin || p.BaseURL == "" {
		return nil
	}
	return &foundKey{Provider: p.Name, Variable: name, Shown: "…" + value[len(value)-4:], value: value}
}

// variables maps the variable names that do not follow NAME_API_KEY.
var variables = map[string]string{
	"GEMINI_API_KEY": "google", "GOOGLE_GENERATIVE_AI_API_KEY": "google", "GOOGLE_API_KEY": "google", "ANTHROPIC_AUTH_TOKEN": "anthropic",
	"HF_TOKEN": "huggingface", "HUGGING_FACE_HUB_TOKEN": "huggingface", "CO_API_KEY": "cohere", "PPLX_API_KEY": "perplexity",
	"TOGETHERAI_API_KEY": "together", "ZAI_API_KEY": "zhipu",
}

func providerOfVariable(name string) *provider.Provider {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "VITE_"), "NEXT_PUBLIC_")
	if p, ok := variables[name]; ok {
		return provider.Default().Get(p)
	}
	word, ok := strings.CutSuffix(name, "_API_KEY")
	if !ok {
		return nil
	}
	return provider.Default().Get(strings.ToLower(strings.ReplaceAll(word, "_", "-")))
}

// skipStored marks the keys that will not be stored: those of providers that have a
// key already, and any further key found for the same provider.
func skipStored(ctx context.Context, client *control.Client, found []*foundKey) error {
	l, err := client.Keys(ctx)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	for _, k := range found {
		i := slices.IndexFunc(l.Keys, func(i control.KeyInfo) bool { return i.Provider == k.Provider && i.HasKey })
		switch first, dup := seen[k.Provider]; {
		case i >= 0 && strings.HasSuffix(k.value, l.Keys[i].Hint) && l.Keys[i].Hint != "":
			k.Skipped = "already stored"
		case i >= 0:
			k.Skipped = "another key is stored: hostless keys add " + k.Provider + " replaces it"
		case dup && first == k.value:
			k.Skipped = "the same key again"
		case dup:
			k.Skipped = "another key was found first: hostless keys add " + k.Provider + " --label L"
		default:
			seen[k.Provider] = k.value
		}
	}
	return nil
}

// gatewayVariable returns the variable that directs the SDK which reads a key to the
// gateway. A key without such a variable is not replaced, since its SDK would send the
// bridge token to the provider.
func gatewayVariable(name string) (base, path string) {
	switch name {
	case "OPENAI_API_KEY":
		return "OPENAI_BASE_URL", "/v1"
	case "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN":
		return "ANTHROPIC_BASE_URL", ""
	case "GEMINI_API_KEY", "GOOGLE_API_KEY":
		return "GOOGLE_GEMINI_BASE_URL", ""
	case "GOOGLE_GENERATIVE_AI_API_KEY":
		return "GOOGLE_GENERATIVE_AI_BASE_URL", "/v1beta"
	}
	return "", ""
}

// replaceTTL is the lifetime of the bridge tokens that are written into files, in seconds.
const replaceTTL = 365 * 24 * 3600

// replaceKeys replaces the keys of each file with a bridge token made for the file's
// directory.
func (e *env) replaceKeys(ctx context.Context, client *control.Client, found []*foundKey) error {
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	byFile := map[*envFile][]*foundKey{}
	for _, k := range found {
		switch {
		case k.file == nil:
			e.note("%s is still in the environment: remove it from your shell's startup files", k.Variable)
		case strings.HasPrefix(k.Skipped, "another key"):
		default:
			byFile[k.file] = append(byFile[k.file], k)
		}
	}
	for f, keys := range byFile {
		if err := e.replaceIn(ctx, client, f, keys, status.URL); err != nil {
			return err
		}
	}
	if len(byFile) > 0 && status.Persistence == "off" {
		e.note("The tokens end when the daemon ends: hostless config set token-persistence file keeps them.")
	}
	return nil
}

// replaceIn changes one file.
func (e *env) replaceIn(ctx context.Context, client *control.Client, f *envFile, keys []*foundKey, gateway string) error {
	var providers []string
	var take []*foundKey
	for _, k := range keys {
		base, path := gatewayVariable(k.Variable)
		i := slices.IndexFunc(f.assignments(), func(a assignment) bool { return a.name == base })
		switch {
		case base == "":
			e.note("%s: %s was not replaced: no variable directs its SDK to the gateway", k.From, k.Variable)
			continue
		case i >= 0 && f.assignments()[i].value != gateway+path:
			e.note("%s: %s was not replaced: %s has another address", k.From, k.Variable, base)
			continue
		}
		take = append(take, k)
		if !slices.Contains(providers, k.Provider) {
			providers = append(providers, k.Provider)
		}
	}
	if len(take) == 0 {
		return nil
	}
	t, err := client.CreateToken(ctx, control.TokenRequest{
		Name: filepath.Base(filepath.Dir(f.path)), Origin: "*", TTL: replaceTTL, Scope: control.Scope{AllowedProviders: providers},
	})
	if err != nil {
		return err
	}
	slices.SortFunc(take, func(a, b *foundKey) int { return cmp.Compare(b.at.line, a.at.line) }) // from the last line to the first, so that line numbers stay valid
	for _, k := range take {
		f.set(k.at, t.Token.Reveal())
		base, path := gatewayVariable(k.Variable)
		if !slices.ContainsFunc(f.assignments(), func(a assignment) bool { return a.name == base }) {
			f.insert(k.at, base, gateway+path)
		}
		k.Replaced = true
	}
	if err := f.write(); err != nil {
		client.RevokeToken(context.WithoutCancel(ctx), t.Token)
		return err
	}
	e.note("%s: %s replaced with the bridge token %s, valid for a year", f.shown, count(len(take), "key"), shortToken(t.Token.Reveal()))
	return nil
}
