package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/urfave/cli/v2"
)

func pricesGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "prices", Usage: "what models cost, in US dollars per million tokens", UsageText: "hostless prices\nhostless prices update FILE|URL", Flags: []cli.Flag{jsonFlag()},
		Description: "The built-in list is a copy of models.dev from the time of this version's release. Your own prices come first:\n" +
			"config.json, \"prices\": {\"openai/my-model*\": {\"input\": 1.25, \"cached\": 0.125, \"output\": 10}}.",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "update", Usage: "replace the list with one in the format of models.dev's api.json", ArgsUsage: "FILE|URL", Flags: []cli.Flag{jsonFlag()},
				Description: "  hostless prices update https://models.dev/api.json\n\nHostless downloads prices only with this command.",
			}, 1, 1, e.pricesUpdate),
		},
	}, 0, 0, e.prices)
}

func (e *env) prices(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.PriceList, error) { return c.Prices(cc.Context) },
		func(l control.PriceList) error {
			var rows [][]string
			for _, p := range l.Prices {
				rows = append(rows, priceRow(p))
			}
			e.note("%s, from: %s", count(len(l.Prices), "model"), l.Source)
			return e.table([]string{"MODEL", "INPUT", "CACHED", "CACHE WRITE", "OUTPUT", "CONTEXT", "FROM"}, rows)
		})
}

func priceRow(p prices.Listed) []string {
	row := []string{p.Provider + "/" + p.Model, "", "", "", "", "", "list"}
	if p.Own {
		row[6] = "config.json"
	}
	if p.Context > 0 {
		row[5] = fmt.Sprint(p.Context)
	}
	if p.Price == nil {
		row[1] = "unpriced"
		return row
	}
	for i, n := range []*prices.Nano{p.Price.Input, p.Price.Cached, p.Price.CacheWrite, p.Price.Output} {
		if n != nil {
			row[i+1] = n.String()
		}
	}
	return row
}

// maxPriceList limits the size of a price list, in bytes.
const maxPriceList = 64 << 20

func (e *env) pricesUpdate(cc *cli.Context) error {
	from := cc.Args().First()
	data, err := priceList(cc.Context, from)
	if err != nil {
		return err
	}
	snapshot, err := prices.Parse(data)
	if err != nil {
		return usage("%s: %v", from, err)
	}
	return ask(e, func(c *control.Client) (control.PriceList, error) { return c.PutPrices(cc.Context, snapshot) },
		func(l control.PriceList) error {
			return e.printLine("%s, kept in %s", count(snapshot.Len(), "model"), l.Source)
		})
}

// priceList reads a file, or downloads an https URL.
func priceList(ctx context.Context, from string) ([]byte, error) {
	if !strings.Contains(from, "://") {
		f, err := os.Open(from)
		if err != nil {
			return nil, usage("%v", err)
		}
		defer f.Close()
		return limited(f, from)
	}
	if !strings.HasPrefix(from, "https://") {
		return nil, usage("prices are read from a file or an https:// URL, not from %.60q", from)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, usage("%v", err)
	}
	client := &http.Client{CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" || len(via) > 5 {
			return fmt.Errorf("the redirect to %s is not followed", r.URL.Redacted())
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unconfigured, Message: fmt.Sprintf("%s cannot be downloaded: %v", from, err), Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &fault.Error{Kind: fault.Unconfigured, Message: fmt.Sprintf("%s cannot be downloaded: the server answered %s", from, resp.Status)}
	}
	return limited(resp.Body, from)
}

func limited(r io.Reader, from string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPriceList+1))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unconfigured, Message: fmt.Sprintf("%s cannot be read: %v", from, err), Err: err}
	}
	if len(data) > maxPriceList {
		return nil, usage("%s is too large for a price list", from)
	}
	return data, nil
}
