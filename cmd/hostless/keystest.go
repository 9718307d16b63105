package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
)

// testModel is a model that no provider has: one that accepts the key says that
// it does not know the model, and charges nothing for it.
const testModel = "hostless-key-test"

// keyTest is the result of `keys test`.
type keyTest struct {
	Provider string `json:"provider"`
	OK       bool   `json:"ok"`
	Status   int    `json:"status"` // of the provider's answer; 0 where none came
	Millis   int64  `json:"ms"`
	Message  string `json:"message"` // in the provider's words, where it refused
}

func keysTest(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "test", Usage: "ask a provider whether it accepts its key", ArgsUsage: "PROVIDER",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the result as JSON: provider, ok, status, ms, message"}},
		Description: "It asks through the daemon for a model that does not exist, which costs nothing: a provider\n" +
			"that accepts the key answers that the model is unknown.",
	}, 1, 1, e.keysTest)
}

func (e *env) keysTest(cc *cli.Context) error {
	name := canonical(cc.Args().First())
	if p := provider.Default().Get(name); p != nil && p.Builtin {
		return usage("%s is built in and has no key", name)
	} else if p == nil {
		// Its name in front of a model would be taken for a part of the model's.
		if err := e.needStored(cc.Context, name); err != nil {
			return err
		}
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(cc.Context, time.Minute)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	token, err := client.CreateToken(ctx, control.TokenRequest{
		Name: "keys test", Origin: "*", TTL: 120, Scope: control.Scope{AllowedProviders: []string{name}},
	})
	if err != nil {
		return err
	}
	defer client.RevokeToken(context.WithoutCancel(ctx), token.Token)
	result, err := probe(ctx, status.Port, token.Token, name)
	if err != nil {
		return err
	}
	if e.line.json {
		if err := e.result(result); err != nil {
			return err
		}
	}
	if result.Status >= 500 {
		return &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("%s gave no clear answer (%d): %s", name, result.Status, result.Message), Next: "hostless keys test " + name + ", in a while"}
	}
	if !result.OK {
		return &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("%s does not accept the key (%d): %s", name, result.Status, result.Message), Next: "hostless keys add " + name}
	}
	if e.line.json {
		return nil
	}
	return e.printLine("%s accepts the key (answered in %d ms)", name, result.Millis)
}

// needStored says so where a provider of no catalogue is not stored either.
func (e *env) needStored(ctx context.Context, name string) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	l, err := client.Keys(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(l.Keys, func(k control.KeyInfo) bool { return k.Provider == name }) {
		return nil
	}
	return &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no key of provider %q is stored", name), Next: "hostless keys list"}
}

// probe asks the gateway for the test's model and judges the answer.
func probe(ctx context.Context, port int, token control.Secret, name string) (r keyTest, err error) {
	at := strconv.Itoa(port)
	body := `{"model":"` + name + "/" + testModel + `","max_tokens":1,"messages":[{"role":"user","content":"hello"}]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort("127.0.0.1", at)+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return r, err
	}
	req.Host = "localhost:" + at
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Content-Type", "application/json")
	started := time.Now()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return r, &fault.Error{Kind: fault.Unreachable, Message: "the gateway does not answer on port " + at, Next: "hostless status", Err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return r, err
	}
	r = keyTest{Provider: name, Status: resp.StatusCode, Millis: time.Since(started).Milliseconds(), Message: messageOf(text)}
	if resp.Header.Get("X-Hostless-Error") == "local" { // no provider was asked, or none answered
		return r, &fault.Error{Kind: fault.KindOf(resp.StatusCode, ""), Message: r.Message}
	}
	r.OK = accepted(resp.StatusCode, r.Message)
	if r.OK {
		r.Message = ""
	}
	return r, nil
}

// accepted judges a provider's answer: 401 and 403 refuse the key. Google
// refuses one with 400 and says so; any other 4xx is about the model.
func accepted(status int, message string) bool {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status >= 500:
		return false
	case status == http.StatusBadRequest:
		m := strings.ToLower(message)
		return !strings.Contains(m, "api key") && !strings.Contains(m, "api_key") && !strings.Contains(m, "credential")
	}
	return true
}

// messageOf finds the message of an error body, whatever its dialect.
func messageOf(body []byte) string {
	var doc struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return strings.TrimSpace(string(body[:min(len(body), 200)]))
	}
	var inner struct {
		Message string `json:"message"`
	}
	var plainText string
	switch {
	case json.Unmarshal(doc.Error, &inner) == nil && inner.Message != "":
		return inner.Message
	case json.Unmarshal(doc.Error, &plainText) == nil && plainText != "":
		return plainText
	}
	return doc.Message
}
