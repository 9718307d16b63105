package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
)

// testModel is a model that no provider has: a provider that accepts the key answers
// that it does not know the model, and charges nothing.
const testModel = "hostless-key-test"

// keyTest is the result for one key.
type keyTest struct {
	Provider string `json:"provider"`
	Label    string `json:"label,omitempty"`
	OK       bool   `json:"ok"`
	Status   int    `json:"status"` // of the provider's response; 0 if there was none
	Millis   int64  `json:"ms"`
	Message  string `json:"message"` // the provider's error message

	problem error // why no provider was asked, or why none answered
}

// keyTests are the results for several keys.
type keyTests struct {
	Keys []keyTest `json:"keys"`
}

func keysTest(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "test", Usage: "ask the providers whether they accept their keys", ArgsUsage: "[PROVIDER]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "label", Usage: "test only the key with the label `L`"},
			&cli.BoolFlag{Name: "json", Usage: "print the result as JSON: provider, ok, status, ms, message; several results are in the list `keys`"},
		},
		Description: "Without PROVIDER every stored key is tested. The daemon asks the provider for a model that does not exist,\n" +
			"which costs nothing: a provider that accepts the key answers that the model is unknown. A key that was set\n" +
			"aside because its provider refused it is used again once it is accepted.",
	}, 0, 1, e.keysTest)
}

func (e *env) keysTest(cc *cli.Context) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(cc.Context, time.Minute)
	defer cancel()
	keys, err := keysToTest(ctx, client, cc.Args().First(), cc.String("label"), cc.IsSet("label"))
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		if e.line.json {
			return e.result(keyTests{Keys: []keyTest{}})
		}
		e.note("No keys. Add one: hostless keys add openai.")
		return nil
	}
	if err := testKeys(ctx, client, keys); err != nil {
		return err
	}
	if cc.NArg() == 1 && len(keys) == 1 {
		return e.showKeyTest(keys[0])
	}
	return e.showKeyTests(keys)
}

// keysToTest returns the keys to test: those of one provider, or all.
func keysToTest(ctx context.Context, client *control.Client, word, label string, labelled bool) (keys []keyTest, err error) {
	name := canonical(word)
	p := provider.Default().Get(name)
	switch {
	case word == "" && labelled:
		return nil, usage("--label needs a PROVIDER")
	case p != nil && p.Builtin:
		return nil, usage("%s is built in and has no key", name)
	}
	l, err := client.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range l.Keys {
		if (word == "" || k.Provider == name) && (!labelled || k.Label == label) {
			keys = append(keys, keyTest{Provider: k.Provider, Label: k.Label})
		}
	}
	switch {
	case len(keys) > 0 || word == "":
		return keys, nil
	case p != nil && !labelled:
		return []keyTest{{Provider: name}}, nil // it may need no key; otherwise the daemon reports what is missing
	}
	// The gateway would take an unknown name before the slash for a part of the model's name.
	return nil, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no key of provider %q is stored", keyName(name, label)), Next: "hostless keys list"}
}

// testKeys tests the keys concurrently through the gateway.
func testKeys(ctx context.Context, client *control.Client, keys []keyTest) error {
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	var providers []string
	for i := range keys {
		providers = append(providers, keys[i].Provider)
	}
	token, err := client.CreateToken(ctx, control.TokenRequest{
		Name: "keys test", Origin: "*", TTL: 120, Scope: control.Scope{AllowedProviders: slices.Compact(providers)},
	})
	if err != nil {
		return err
	}
	defer client.RevokeToken(context.WithoutCancel(ctx), token.Token)
	var wait sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range keys {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			keys[i].problem = probe(ctx, status.Port, token.Token, &keys[i])
		})
	}
	wait.Wait()
	return nil
}

// showKeyTest prints the result for one key.
func (e *env) showKeyTest(k keyTest) error {
	if k.problem != nil {
		return k.problem
	}
	if e.line.json {
		if err := e.result(k); err != nil {
			return err
		}
	}
	which, add := keyName(k.Provider, k.Label), "hostless keys add "+k.Provider
	if k.Label != "" {
		add += " --label " + k.Label
	}
	if k.Status >= 500 {
		return &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("%s gave no clear answer (%d): %s", which, k.Status, k.Message), Next: "hostless keys test " + k.Provider + ", later"}
	}
	if !k.OK {
		return &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("%s does not accept the key (%d): %s", which, k.Status, k.Message), Next: add}
	}
	if e.line.json {
		return nil
	}
	return e.printLine("%s accepts the key (answered in %d ms)", which, k.Millis)
}

// showKeyTests prints the results for several keys. It returns an error if one of them
// is not accepted.
func (e *env) showKeyTests(keys []keyTest) error {
	var failed []string
	var rows [][]string
	for i := range keys {
		k := &keys[i]
		result, took := "accepted", fmt.Sprintf("%d ms", k.Millis)
		switch {
		case k.problem != nil:
			k.Message = fault.From(k.problem).Message
			result, took = k.Message, ""
		case k.Status >= 500:
			result = fmt.Sprintf("no clear answer (%d): %s", k.Status, k.Message)
		case !k.OK:
			result = fmt.Sprintf("not accepted (%d): %s", k.Status, k.Message)
		}
		if !k.OK {
			failed = append(failed, keyName(k.Provider, k.Label))
		}
		rows = append(rows, []string{keyName(k.Provider, k.Label), took, result})
	}
	var err error
	if e.line.json {
		err = e.result(keyTests{Keys: keys})
	} else {
		err = e.table([]string{"KEY", "TOOK", "RESULT"}, rows)
	}
	if err != nil || len(failed) == 0 {
		return err
	}
	return &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("%d of %s not accepted: %s", len(failed), count(len(keys), "key"), strings.Join(failed, ", ")), Next: "hostless keys add " + keys[slices.IndexFunc(keys, func(k keyTest) bool { return !k.OK })].Provider}
}

// probe requests the test's model from the gateway with one key, and sets the result
// by the response.
func probe(ctx context.Context, port int, token control.Secret, k *keyTest) error {
	at := strconv.Itoa(port)
	body := `{"model":"` + k.Provider + "/" + testModel + `","max_tokens":1,"messages":[{"role":"user","content":"hello"}]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort("127.0.0.1", at)+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Host = "localhost:" + at
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hostless-Key", cmp.Or(k.Label, "-"))
	started := time.Now()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return &fault.Error{Kind: fault.Unreachable, Message: "the gateway does not answer on port " + at, Next: "hostless status", Err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	k.Status, k.Millis, k.Message = resp.StatusCode, time.Since(started).Milliseconds(), messageOf(text)
	if resp.Header.Get("X-Hostless-Error") == "local" { // Hostless's own error: no provider was asked, or none answered
		return &fault.Error{Kind: fault.KindOf(resp.StatusCode, ""), Message: k.Message}
	}
	if k.OK = accepted(resp.StatusCode, k.Message); k.OK {
		k.Message = ""
	}
	return nil
}

// accepted reports whether a provider's response means that it accepts the key: 401,
// 402 and 403 refuse it. Google refuses a key with 400 and a message about it; any
// other 4xx is about the model.
func accepted(status int, message string) bool {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusPaymentRequired, status == http.StatusForbidden, status >= 500:
		return false
	case status == http.StatusBadRequest:
		m := strings.ToLower(message)
		return !strings.Contains(m, "api key") && !strings.Contains(m, "api_key") && !strings.Contains(m, "credential")
	}
	return true
}

// messageOf returns the message of an error body of any dialect.
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
