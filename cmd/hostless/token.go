package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
)

func tokenGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "token", Usage: "bridge tokens: what apps use instead of a provider key",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "create", Usage: "make a token and print it; it is not shown again",
				ArgsUsage: "[--name NAME] [--origin ORIGIN] [--providers CSV] [--models CSV] [--rate-limit N] [--ttl S] [--mcp]",
				Flags: append([]cli.Flag{
					&cli.StringFlag{Name: "name", Usage: "the token's `NAME` in listings"},
					&cli.StringFlag{Name: "origin", Usage: "refuse it from web pages of any other origin than `ORIGIN`; * for none", Value: "*"},
					&cli.BoolFlag{Name: "mcp", Usage: "only for the MCP server at /mcp, which reads the output of apps and the log; it reaches no model"},
				}, append(scopeFlags(), jsonFlag())...),
				Description: "Standard output is only the token:\n\n  TOKEN=$(hostless token create --name notebook --models 'gpt-4o*' --ttl 3600)",
			}, 0, 0, e.tokenCreate),
			leaf(&cli.Command{Name: "list", Usage: "list the live tokens", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.tokenList),
			leaf(&cli.Command{Name: "revoke", Usage: "revoke a token and end its streams in flight", ArgsUsage: "TOKEN, PREFIX OR NAME", Flags: []cli.Flag{jsonFlag()}}, 1, 1,
				func(cc *cli.Context) error {
					ref := cc.Args().First()
					return ask(e, func(c *control.Client) (o control.Outcome, err error) {
						if ref, err = tokenNamed(cc.Context, c, ref); err != nil {
							return o, err
						}
						return c.RevokeToken(cc.Context, control.NewSecret(ref))
					}, func(control.Outcome) error { return e.printLine("%s revoked", shortToken(ref)) })
				}),
			leaf(&cli.Command{Name: "refresh", Usage: "extend a token by its original lifetime", ArgsUsage: "TOKEN, PREFIX OR NAME", Flags: []cli.Flag{jsonFlag()}}, 1, 1,
				func(cc *cli.Context) error {
					ref := cc.Args().First()
					return ask(e, func(c *control.Client) (r control.Refreshed, err error) {
						if ref, err = tokenNamed(cc.Context, c, ref); err != nil {
							return r, err
						}
						return c.RefreshToken(cc.Context, control.NewSecret(ref))
					}, func(r control.Refreshed) error {
						return e.printLine("%s refreshed, %s", shortToken(ref), expiry(r.ExpiresIn))
					})
				}),
		},
	}
}

// tokenNamed returns the prefix of the token that ref names, or ref itself if it is a
// token or a prefix. It is an error if several tokens have the name.
func tokenNamed(ctx context.Context, c *control.Client, ref string) (string, error) {
	if strings.HasPrefix(ref, "sk_local_") {
		return ref, nil
	}
	var raw []byte
	l, err := c.Keep(&raw).Tokens(ctx)
	if err != nil {
		return "", err
	}
	var found, names []string
	for _, t := range l.Tokens {
		if t.AppName == ref {
			found = append(found, t.Prefix)
		}
		names = append(names, t.AppName)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		f := &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no token has the name or prefix %q", ref), Next: "hostless token list"}
		if near := nearest(ref, names); near != "" {
			f.Next = "did you mean " + near + "?"
		}
		return "", f
	}
	return "", &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("%d tokens have the name %q: %s", len(found), ref, strings.Join(found, ", ")), Next: "use the prefix of one"}
}

// scopeFlags returns the flags for the scope and lifetime of a token.
func scopeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "providers", Usage: "allow only the providers in `CSV`"},
		&cli.StringFlag{Name: "models", Usage: "allow only the models in `CSV`; a final * matches any ending"},
		&cli.IntFlag{Name: "rate-limit", Usage: "at most `N` requests an hour; 0 for no limit"},
		&cli.StringFlag{Name: "ttl", Usage: "valid for `S` seconds, or a duration such as 12h, 7d or never, which is ten years (default: one day)"},
	}
}

// noteUnknown prints a note for each provider that is probably misspelled: it is neither
// in the catalogue nor has a key, but a similar one is.
func (e *env) noteUnknown(ctx context.Context, client *control.Client, names []string) {
	var known []string
	for _, p := range provider.Default().All() {
		known = append(append(known, p.Name), p.Aliases...)
	}
	for _, name := range names {
		near := nearest(name, known)
		if slices.Contains(known, name) || near == "" || strings.HasSuffix(name, "*") {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, statusTimeout)
		list, err := client.Keys(limited)
		cancel()
		if err != nil || slices.ContainsFunc(list.Keys, func(k control.KeyInfo) bool { return k.Provider == name }) {
			continue
		}
		e.note("There is no provider %q: did you mean %s?", name, near)
	}
}

// scope parses the scopeFlags.
func scope(cc *cli.Context) (s control.Scope, ttl time.Duration, err error) {
	s.AllowedProviders, s.AllowedModels = csv(cc.String("providers")), csv(cc.String("models"))
	if s.RateLimit = cc.Int("rate-limit"); s.RateLimit < 0 {
		return s, 0, usage("--rate-limit is negative")
	}
	if cc.IsSet("ttl") {
		ttl, err = parseTTL(cc.String("ttl"))
	}
	return s, ttl, err
}

// forever is the lifetime for --ttl never: the longest that the daemon accepts.
const forever = 10 * 365 * 24 * time.Hour

// parseTTL parses a number of seconds, a duration of at least one second such as 12h or
// 7d, or "never".
func parseTTL(text string) (time.Duration, error) {
	if strings.EqualFold(text, "never") {
		return forever, nil
	}
	d, err := config.ParseDuration(text)
	if err != nil || d < time.Second || d > forever {
		return 0, usage("--ttl %q is not a number of seconds or a duration such as 12h, 7d or never (at most ten years)", text)
	}
	return d, nil
}

func (e *env) tokenCreate(cc *cli.Context) error {
	s, ttl, err := scope(cc)
	if err != nil {
		return err
	}
	req := control.TokenRequest{Name: cc.String("name"), Origin: cc.String("origin"), TTL: int64(ttl / time.Second), MCP: cc.Bool("mcp"), Scope: s}
	if req.Origin != "*" {
		if req.Origin, err = checkOrigin(req.Origin); err != nil {
			return err
		}
	}
	return ask(e, func(c *control.Client) (control.Token, error) {
		e.noteUnknown(cc.Context, c, s.AllowedProviders)
		t, err := c.CreateToken(cc.Context, req)
		return t, badArgument(err)
	},
		func(t control.Token) error {
			if t.MCP {
				e.note("only for /mcp, rate limit %s, %s", perHour(t.RateLimit), expiry(t.ExpiresIn))
				return e.printLine("%s", t.Token.Reveal())
			}
			e.note("origin %s, providers %s, models %s, rate limit %s, %s",
				t.Origin, list(t.AllowedProviders), list(t.AllowedModels), perHour(t.RateLimit), expiry(t.ExpiresIn))
			_, err := fmt.Fprintln(e.out, t.Token.Reveal())
			return err
		})
}

func (e *env) tokenList(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.TokenList, error) { return c.Tokens(cc.Context) },
		func(l control.TokenList) error {
			if len(l.Tokens) == 0 {
				e.note("No tokens. Make one: hostless token create")
				return nil
			}
			var rows [][]string
			for _, t := range l.Tokens {
				providers, models := list(t.AllowedProviders), list(t.AllowedModels)
				if t.MCP {
					providers, models = "none", "none: for /mcp"
				}
				rows = append(rows, []string{t.Prefix, t.AppName, t.Origin, providers, models, perHour(t.RateLimit), span(t.ExpiresIn)})
			}
			return e.table([]string{"TOKEN", "NAME", "ORIGIN", "PROVIDERS", "MODELS", "LIMIT", "EXPIRES"}, rows)
		})
}

// tokenShown is the length of a token's prefix that may be shown: sk_local_ and 8 characters.
const tokenShown = len("sk_local_") + 8

// shortToken cuts a token to the prefix that may be shown.
func shortToken(ref string) string {
	if len(ref) > tokenShown && strings.HasPrefix(ref, "sk_local_") {
		return ref[:tokenShown] + "…"
	}
	return ref
}
