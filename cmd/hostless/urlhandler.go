package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

func urlHandlerGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "url-handler", Usage: "open authmatic: links of web apps with Hostless",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "install", Usage: "make the desktop open authmatic: and hostless: links with Hostless (Linux)",
				Description: "It writes a desktop entry and makes it the default of both schemes. On macOS a handler is an\napplication bundle: docs/connect.md shows how to make one.",
			}, 0, 0, e.urlHandlerInstall),
			leaf(&cli.Command{Name: "uninstall", Usage: "remove the desktop entry and the defaults"}, 0, 0, e.urlHandlerUninstall),
			leaf(&cli.Command{
				Name: "open", Usage: "handle an authmatic: link: ask for the token, then open the app's callback", ArgsUsage: "URL",
				Description: "The desktop entry runs this. It waits for your decision, then opens the app's callback in the\nbrowser. The exit code is 1 if you deny the request.",
			}, 1, 1, e.urlHandlerOpen),
		},
	}
}

// registration is the request in a link: the body of POST /auth/register.
type registration struct {
	Origin    string   `json:"origin"`
	Callback  string   `json:"callback"`
	State     string   `json:"state,omitempty"`
	Providers []string `json:"allowed_providers,omitempty"`
	Models    []string `json:"allowed_models,omitempty"`
	RateLimit int      `json:"rate_limit,omitempty"`
}

// parseLink parses authmatic://register?data={…}, or a link with the same fields as
// query parameters.
func parseLink(text string) (r registration, err error) {
	u, err := url.Parse(text)
	if err != nil || len(text) > 16<<10 || u.Scheme != "authmatic" && u.Scheme != "hostless" || strings.Trim(u.Host+u.Path, "/") != "register" {
		return r, usage("this is not a link such as authmatic://register?data=…")
	}
	q := u.Query()
	if data := q.Get("data"); data != "" {
		if json.Unmarshal([]byte(data), &r) != nil {
			return r, usage("the link's data is not a registration")
		}
	} else {
		r = registration{Origin: q.Get("origin"), Callback: q.Get("callback"), State: q.Get("state"), Providers: csv(q.Get("allowed_providers")), Models: csv(q.Get("allowed_models"))}
		if text := q.Get("rate_limit"); text != "" {
			if r.RateLimit, err = strconv.Atoi(text); err != nil {
				return r, usage("the link's rate_limit is not a number")
			}
		}
	}
	if r.Origin == "" || r.Callback == "" {
		return r, usage("the link names no origin or no callback")
	}
	return r, nil
}

func (e *env) urlHandlerOpen(cc *cli.Context) error {
	r, err := parseLink(cc.Args().First())
	if err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	status, err := client.Status(cc.Context)
	if err != nil {
		return err
	}
	back, err := e.registerLink(cc.Context, status, r)
	if fault.Is(err, fault.Forbidden) {
		fragment := "#" + url.Values{"error": {"denied"}, "state": {r.State}}.Encode()
		if err := e.browse(cc.Context, r.Callback+fragment); err != nil {
			e.note("hostless: the decision could not be delivered to the app: %v", err)
		}
	}
	if err != nil {
		return err
	}
	if err := e.browse(cc.Context, back); err != nil {
		return fmt.Errorf("open the callback of %s: %w", r.Origin, err)
	}
	return e.printLine("%s is connected", r.Origin)
}

// registerLink sends the registration to the daemon that answered on the control socket,
// and waits for the user's decision while the request can be approved. It returns the
// callback with the token.
func (e *env) registerLink(ctx context.Context, status control.Status, r registration) (string, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	port := strconv.Itoa(status.Port)
	client := &http.Client{
		Transport: &http.Transport{Proxy: nil, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	until := time.Now().Add(5 * time.Minute)
	for wait := 0; ; wait = 100 {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost:"+port+"/auth/register", bytes.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "application/json")
		if wait > 0 {
			req.Header.Set("Prefer", "wait="+strconv.Itoa(wait))
		}
		back, id, err := answered(client, req)
		if err != nil || back != "" {
			return back, err
		}
		if wait == 0 {
			e.note("%s asks to use your models. In a terminal: hostless approve %s (or deny)", r.Origin, id)
		}
		if time.Now().After(until) {
			return "", &fault.Error{Kind: fault.NotFound, Message: "the request was not answered in time", Next: "hostless approvals"}
		}
	}
}

// answered sends the request once. It returns the callback, or the id of a request that
// is still waiting. A denial is fault.Forbidden.
func answered(client *http.Client, req *http.Request) (back, id string, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return "", "", fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSeeOther {
		return resp.Header.Get("Location"), "", nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", "", fmt.Errorf("ask the daemon: %w", err)
	}
	var answer struct {
		ID    string          `json:"approval_id"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", "", fmt.Errorf("the daemon answered %s", resp.Status)
	}
	var text string
	var envelope struct {
		Message string `json:"message"`
	}
	switch {
	case answer.ID != "":
		return "", answer.ID, nil
	case json.Unmarshal(answer.Error, &text) == nil && resp.StatusCode == http.StatusForbidden:
		return "", "", fault.New(fault.Forbidden, text)
	case json.Unmarshal(answer.Error, &envelope) == nil && envelope.Message != "":
		return "", "", fault.New(fault.Invalid, envelope.Message)
	}
	return "", "", fmt.Errorf("the daemon answered %s", resp.Status)
}

// browse opens a URL in the user's browser. It does not check for a display as opener
// does: the link came from a browser.
func (e *env) browse(ctx context.Context, address string) error {
	opener := e.opener()
	if opener == "" && runtime.GOOS != "darwin" {
		opener, _ = e.lookPath("xdg-open")
	}
	if opener == "" {
		return &fault.Error{Kind: fault.NotFound, Message: "no browser could be started: neither xdg-open nor wslview is in PATH"}
	}
	if err := exec.CommandContext(ctx, opener, address).Run(); err != nil {
		return fmt.Errorf("%s: %w", opener, err)
	}
	return nil
}
