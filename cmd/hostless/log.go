package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/urfave/cli/v2"
)

func logGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "log", Usage: "AI requests: app, model, duration, cost and error of each",
		UsageText: "hostless log [FLAGS]\nhostless log show ID",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "print each new request as it ends"},
			&cli.IntFlag{Name: "n", Usage: "start with the last `N` requests", Value: 50},
			&cli.StringFlag{Name: "app", Usage: "only requests of the app `NAME`"},
			&cli.StringFlag{Name: "model", Usage: "only requests for the model `M`, as requested or as resolved; a final * matches any ending"},
			&cli.StringFlag{Name: "provider", Usage: "only requests to the provider `P`"},
			&cli.StringFlag{Name: "token", Usage: "only requests with the bridge token `T`: its prefix or its name"},
			&cli.StringFlag{Name: "status", Usage: "only requests with the response status `S`, such as 429 or 4xx"},
			&cli.StringFlag{Name: "since", Usage: "only requests since `D`: a duration such as 1h or 7d, or a time (RFC 3339)"},
			&cli.BoolFlag{Name: "apps", Usage: "list requests to apps instead; of the filters, --app, --status and --since apply"},
			jsonFlag(),
		},
		Description: "The log holds bodies only after `hostless config set log-bodies on` (or `errors`). With -f and --json each line is one\nrequest. -f continues when the daemon is restarted.\n\n  hostless log -f --app shop\n  hostless log --apps --status 5xx\n  hostless log --status 4xx --since 1d",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "show", Usage: "show everything in the log about one request", ArgsUsage: "ID",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "curl", Usage: "print a curl command that repeats it; it takes the token from HOSTLESS_TOKEN, and a body that is not in the log from standard input"},
					jsonFlag(),
				},
			}, 1, 1, e.logShow),
		},
	}, 0, 0, e.log)
}

// filled returns the flags that are set as query parameters of the control API.
func filled(cc *cli.Context, names ...string) url.Values {
	q := url.Values{}
	for _, name := range names {
		if v := cc.String(name); v != "" {
			q.Set(name, v)
		}
	}
	return q
}

func (e *env) log(cc *cli.Context) error {
	q := filled(cc, "app", "model", "provider", "token", "status", "since")
	q.Set("n", strconv.Itoa(cc.Int("n")))
	if cc.Bool("apps") {
		return e.logApps(cc, q)
	}
	if cc.Bool("follow") {
		return badArgument(followRows(cc.Context, e, q, (*control.Client).FollowLog, endOfRequest, e.showRequest))
	}
	return badArgument(ask(e, func(c *control.Client) (control.RequestList, error) { return c.Log(cc.Context, q) },
		func(l control.RequestList) error {
			if l.Dropped > 0 {
				e.note("%s could not be logged since the daemon started.", count(int(l.Dropped), "request"))
			}
			if len(l.Requests) == 0 {
				e.note("No requests.")
				return nil
			}
			var rows [][]string
			for _, r := range l.Requests {
				rows = append(rows, requestRow(r))
			}
			return e.table([]string{"TIME", "APP", "CLIENT", "MODEL", "STATUS", "TOOK", "IN", "OUT", "COST", "ID", "ERROR"}, rows, "CLIENT", "IN", "OUT", "TOOK", "ID")
		}))
}

func costOf(r *reqlog.Row) string {
	if !r.Priced || r.CostUSD == nil {
		return "unpriced"
	}
	return "$" + r.CostUSD.String()
}

func requestRow(r *reqlog.Row) []string {
	status := ""
	if r.Status != 0 {
		status = strconv.Itoa(r.Status)
	}
	return []string{
		r.Time.Local().Format("2006-01-02 15:04:05"), r.Who(), r.Client, r.Answered(), status, duration(r.DurationMS),
		strconv.FormatInt(r.Tokens.Input, 10), strconv.FormatInt(r.Tokens.Output, 10), costOf(r), r.ID, string(r.ErrorKind),
	}
}

// duration formats milliseconds for people.
func duration(ms int64) string {
	if ms < 10_000 {
		return strconv.FormatInt(ms, 10) + "ms"
	}
	return span(ms / 1000)
}

// showRequest prints one row on one line.
func (e *env) showRequest(r reqlog.Row) error {
	if e.line.json {
		return e.jsonLine(r)
	}
	row := requestRow(&r)
	for i := range row {
		row[i] = cell(row[i])
	}
	return e.printLine("%s  %s (%s)  %s  %s in %s  %s in, %s out  %s  %s  %s", row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10])
}

func (e *env) logShow(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.RequestDetail, error) {
		return c.Request(cc.Context, cc.Args().First())
	},
		func(d control.RequestDetail) error {
			if cc.Bool("curl") {
				return e.printLine("%s", curlOf(d))
			}
			if err := e.showDetail(d.Request); err != nil {
				return err
			}
			return e.showBodies(d.Bodies)
		})
}

func (e *env) showDetail(r *reqlog.Row) error {
	first := ""
	if r.FirstByteMS != nil {
		first = duration(*r.FirstByteMS)
	}
	t, searches := r.Tokens, ""
	if t.WebSearches > 0 {
		searches = strconv.FormatInt(t.WebSearches, 10)
	}
	rows := [][2]string{
		{"Request", r.ID}, {"Time", r.Time.Local().Format("2006-01-02 15:04:05.000 -0700")},
		{"App", r.App}, {"Token", strings.TrimSpace(r.Token + " " + r.TokenName)}, {"Client", r.Client},
		{"Request", strings.TrimSpace(r.Method + " " + r.Path + " " + r.Model)}, {"Dialect", r.Dialect}, {"Answered by", r.Answered()}, {"Key", r.KeyLabel},
		{"Status", strconv.Itoa(r.Status)}, {"Error", string(r.ErrorKind)}, {"First byte", first}, {"Took", duration(r.DurationMS)},
		{"Tokens in", fmt.Sprintf("%d, of them %d cached, %d written to the cache (%d for 1h)", t.Input, t.Cached, t.CacheWrite, t.CacheWrite1h)},
		{"Web searches", searches},
		{"Tokens out", fmt.Sprintf("%d, of them %d reasoning", t.Output, t.Reasoning)},
		{"Tier", r.Tier}, {"Cost", costOf(r)}, {"Price", r.PriceText()}, {"Ignored", strings.Join(r.Ignored, ", ")},
	}
	for i, a := range r.Attempts {
		what := fmt.Sprintf("%s/%s %d in %s", a.Provider, a.Model, a.Status, duration(a.DurationMS))
		if a.KeyLabel != "" {
			what += ", key " + a.KeyLabel
		}
		if a.ErrorKind != "" {
			what += ", " + string(a.ErrorKind)
		}
		rows = append(rows, [2]string{fmt.Sprintf("Attempt %d", i+1), what})
	}
	return e.pairs(rows)
}

// curlOf returns a curl command that repeats a request. It contains the body if the log
// has it, else it reads the body from standard input.
func curlOf(d control.RequestDetail) string {
	auth := "Authorization: Bearer $HOSTLESS_TOKEN"
	headers := map[string]string{}
	switch d.Request.Dialect {
	case "anthropic":
		auth = "x-api-key: $HOSTLESS_TOKEN"
		headers["anthropic-version"] = "2023-06-01"
	case "gemini":
		auth = "x-goog-api-key: $HOSTLESS_TOKEN"
	}
	method := d.Request.Method
	withBody := method == "POST" || method == "PUT" || method == "PATCH"
	if withBody {
		headers["content-type"] = "application/json"
	}
	for _, name := range []string{"anthropic-version", "anthropic-beta", "openai-beta", "content-type", "x-hostless-provider"} {
		if v := d.Request.Headers.Get(name); v != "" && (name != "content-type" || withBody) {
			headers[name] = v
		}
	}
	words := []string{"curl"}
	if method != "GET" {
		words = append(words, "-X", method)
	}
	words = append(words, shellQuote(d.URL), "-H", `"`+auth+`"`)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		words = append(words, "-H", shellQuote(name+": "+headers[name]))
	}
	if withBody {
		if b := d.Bodies; b != nil && b.Request != nil && !b.Request.Truncated && !b.Request.Binary {
			return strings.Join(append(words, "--data-raw", shellQuote(b.Request.Text)), " ")
		}
		words = append(words, "--data-binary", "@-")
	}
	return strings.Join(words, " ")
}

// showBodies prints what the log has of the bodies of a request and its response.
func (e *env) showBodies(b *reqlog.Bodies) error {
	if b == nil {
		return nil
	}
	for _, part := range []struct {
		name string
		body *reqlog.Body
	}{{"Request body", b.Request}, {"Response body", b.Response}} {
		if part.body == nil {
			continue
		}
		what := part.name
		if part.body.Truncated {
			what += fmt.Sprintf(" (the start of %d bytes)", part.body.Size)
		}
		text := part.body.Text
		if part.body.Binary {
			text = fmt.Sprintf("(%d bytes, not text)", part.body.Size)
		}
		if err := e.printLine("\n%s\n%s", what, printable(text)); err != nil {
			return err
		}
	}
	return nil
}

// shellQuote quotes a word for a POSIX shell.
func shellQuote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
