package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
)

// The bounds of a file that is fetched for a caller.
const (
	fetchLimit   = 20 << 20
	fetchTimeout = 20 * time.Second
	fetchHops    = 3
)

// newFetcher makes the client for files that callers name by address. The
// addresses are theirs and not the user's: https alone, no key, no cookie, no
// proxy, and neither this machine nor a private network at the other end,
// whatever a name resolves to and wherever a redirect leads.
func newFetcher(cfg *Config) *http.Client {
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			DialContext: guardedDial(cfg, dialer(cfg), func(_ string, addr netip.Addr) string {
				if addr.Unmap().IsLoopback() {
					return "this machine"
				}
				return provider.Refused(addr.WithZone(""))
			}),
			TLSClientConfig: cfg.TLS.Clone(), TLSHandshakeTimeout: cfg.ConnectTimeout,
			ForceAttemptHTTP2: true, MaxIdleConns: 8, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != "https" || len(via) > fetchHops {
				return errors.New("the redirect leads too far")
			}
			return nil
		},
	}
}

// fetch downloads a file that a message points at. The error is fault.Invalid.
func (g *Gateway) fetch(ctx context.Context, address string) (kind string, data []byte, err error) {
	bad := func(why string, err error) (string, []byte, error) {
		return "", nil, &fault.Error{Kind: fault.Invalid, Message: "a file that a message points at " + why, Param: "messages", Err: err}
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return bad("must have an https address", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return bad("must have an https address", err)
	}
	req.Header.Set("User-Agent", "hostless/"+g.cfg.Version)
	resp, err := g.fetching.Do(req)
	if err != nil {
		var refused *refusedError
		if errors.As(err, &refused) {
			return bad("leads to "+refused.why+", which is refused", err)
		}
		return bad("cannot be fetched", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return bad(fmt.Sprintf("cannot be fetched: status %d", resp.StatusCode), nil)
	}
	data, err = io.ReadAll(io.LimitReader(resp.Body, fetchLimit+1))
	if err != nil {
		return bad("cannot be fetched", err)
	}
	if len(data) > fetchLimit {
		return bad(fmt.Sprintf("is larger than %d MiB", fetchLimit>>20), nil)
	}
	kind, _, err = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind == "application/octet-stream" || kind == "binary/octet-stream" {
		kind, _, _ = strings.Cut(http.DetectContentType(data), ";")
	}
	return kind, data, nil
}
