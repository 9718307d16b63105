package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/spend"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Source is what the tools read from. *control.Client is one.
type Source interface {
	Status(ctx context.Context) (control.Status, error)
	Routes(ctx context.Context) (control.RouteList, error)
	Output(ctx context.Context, name string) (control.AppOutput, error)
	Log(ctx context.Context, query url.Values) (control.RequestList, error)
	Request(ctx context.Context, id string) (control.RequestDetail, error)
	Spend(ctx context.Context, query url.Values) (spend.Report, error)
	Budgets(ctx context.Context) (control.BudgetList, error)
}

// Limits on the number of rows, because a result goes into an agent's context.
const (
	usualRows = 20
	mostRows  = 200
)

const instructions = `Hostless runs local apps under NAME.localhost and gives them AI models through a gateway. These tools read which apps run and where, the last output of an app, which AI requests were made, why one failed (error_kind: caller_…, policy_…, provider_… or hostless_…), and what they cost. To debug a dev server: list_apps, then app_output.`

type (
	none    struct{}
	appArgs struct {
		Name string `json:"name" jsonschema:"the app's name, as list_apps returns it"`
	}
	idArgs struct {
		ID string `json:"id" jsonschema:"the id of a request, as list_requests returns it"`
	}
	logArgs struct {
		App      string `json:"app,omitempty" jsonschema:"only requests of this app"`
		Model    string `json:"model,omitempty" jsonschema:"the requested or the resolved model; a * at the end matches any rest"`
		Provider string `json:"provider,omitempty" jsonschema:"only requests to this provider"`
		Token    string `json:"token,omitempty" jsonschema:"the prefix or the name of a bridge token"`
		Status   string `json:"status,omitempty" jsonschema:"a status such as 429, or 4xx"`
		Since    string `json:"since,omitempty" jsonschema:"a duration such as 1h or 7d, or an RFC 3339 time"`
		Limit    int    `json:"limit,omitempty" jsonschema:"maximum number of requests, newest last: 20 by default, at most 200"`
	}
	spendArgs struct {
		Period string `json:"period,omitempty" jsonschema:"today (the default), week or month"`
		Since  string `json:"since,omitempty" jsonschema:"instead of period: a duration such as 3h or 7d, or an RFC 3339 time"`
		By     string `json:"by,omitempty" jsonschema:"group by app, model, provider, token, client or day"`
	}
)

// Name is the server's name in the settings of agents.
const Name = "hostless"

// New returns a server whose tools read from a source.
func New(version string, from Source) *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: Name, Title: "Hostless", Version: version}, &sdk.ServerOptions{Instructions: instructions})
	add(s, "status", "The daemon's version and port, the providers that have a key, warnings, and whether AI traffic is stopped.",
		func(ctx context.Context, _ none) (any, error) { return from.Status(ctx) })
	add(s, "list_apps", "The apps that run or have a name: address, target, state (starting, listening, exited, idle), command and directory.",
		func(ctx context.Context, _ none) (any, error) { return from.Routes(ctx) })
	add(s, "app_output", "The last lines that an app printed (at most 40), its state and, if it has exited, its exit code.",
		func(ctx context.Context, in appArgs) (any, error) { return from.Output(ctx, in.Name) })
	add(s, "list_requests", "AI requests from the log, newest last: client, model, status, error_kind, duration, tokens, cost. Bodies are not included.",
		func(ctx context.Context, in logArgs) (any, error) { return from.Log(ctx, in.query()) })
	add(s, "get_request", "Everything the log has about one AI request except its bodies, with each attempt.",
		func(ctx context.Context, in idArgs) (any, error) {
			detail, err := from.Request(ctx, in.ID)
			detail.Bodies = nil // stored bodies are for the user
			return detail, err
		})
	add(s, "spend", "The cost of AI requests in a period, in total and by group, in US dollars, with tokens and the savings of prompt caching.",
		func(ctx context.Context, in spendArgs) (any, error) {
			return from.Spend(ctx, filled("period", in.Period, "since", in.Since, "by", in.By))
		})
	add(s, "budgets", "The budgets that a person has set, and how much of each is used.",
		func(ctx context.Context, _ none) (any, error) { return from.Budgets(ctx) })
	return s
}

func (a logArgs) query() url.Values {
	q := filled("app", a.App, "model", a.Model, "provider", a.Provider, "token", a.Token, "status", a.Status, "since", a.Since)
	n := a.Limit
	if n <= 0 {
		n = usualRows
	}
	q.Set("n", strconv.Itoa(min(n, mostRows)))
	return q
}

// filled returns the parameters that have a value. pairs are names and values in
// turn.
func filled(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// add adds a read-only tool whose result is JSON. An error becomes the tool's
// result, in the words of the control API, so that the agent can act on it.
func add[In any](s *sdk.Server, name, description string, read func(context.Context, In) (any, error)) {
	closed := false
	tool := &sdk.Tool{Name: name, Description: description, Annotations: &sdk.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: &closed}}
	sdk.AddTool(s, tool, func(ctx context.Context, _ *sdk.CallToolRequest, in In) (*sdk.CallToolResult, any, error) {
		got, err := read(ctx, in)
		var data []byte
		if err == nil {
			data, err = json.Marshal(got)
		}
		if err != nil {
			f := fault.From(err)
			if f.Kind == fault.Internal {
				return nil, nil, errors.New("the daemon failed to answer: hostless status shows its state")
			}
			return nil, nil, f
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: string(data)}}}, nil, nil
	})
}
