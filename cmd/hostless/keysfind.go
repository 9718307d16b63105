package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
)

// findLocal looks for a local provider on its default port and returns its base URL
// and the number of its models. If none answers, the error says where it looked.
func (e *env) findLocal(ctx context.Context, p *provider.Provider) (base string, models int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	base = p.BaseURL
	if at := e.getenv("OLLAMA_HOST"); p.Name == "ollama" && at != "" {
		base = ollamaBase(at, base)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/models", nil)
	if err != nil {
		return "", 0, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no HTTP proxy for this machine
	resp, err := client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		var list struct {
			Data []json.RawMessage `json:"data"`
		}
		if resp.StatusCode == http.StatusOK && json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 8<<20)).Decode(&list) == nil {
			return base, len(list.Data), nil
		}
		err = fmt.Errorf("the server there is not %s", p.Title)
	}
	return "", 0, &fault.Error{
		Kind: fault.NotFound, Message: fmt.Sprintf("%s was not found at %s", p.Title, base),
		Next: "start it, or: hostless keys add " + p.Name + " --base-url http://HOST:PORT/v1", Err: err,
	}
}

// ollamaBase parses OLLAMA_HOST as Ollama does: host, host:port or a URL. A wildcard
// listen address means this machine.
func ollamaBase(at, fallback string) string {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" {
		if u, err = url.Parse("http://" + at); err != nil || u.Host == "" {
			return fallback
		}
	}
	host, port := u.Hostname(), u.Port()
	if host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = strconv.Itoa(11434)
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port) + "/v1"
}
