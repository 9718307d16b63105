package oauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hostless/hostless/pkg/secret"
)

// ServeHTTP serves GET /callback, the landing page of a provider's redirect. Nothing from
// the request appears in the page.
func (l *Logins) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		landing(w, http.StatusMethodNotAllowed, "Not signed in", "This address is only for redirects from a provider.")
		return
	}
	const restart = "Start again with: hostless auth login PROVIDER"
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		landing(w, http.StatusBadRequest, "Not signed in", "The provider's response is invalid. "+restart)
		return
	}
	n := l.take(q)
	if n == nil {
		landing(w, http.StatusBadRequest, "Not signed in", "This response does not belong to a login in progress. "+restart)
		return
	}
	switch code := q.Get("code"); {
	case q.Has("error"):
		l.end(n, Outcome{Status: Failed, Reason: "the provider refused: " + plainCode(q.Get("error"))})
		landing(w, http.StatusBadRequest, "Not signed in", "The provider has refused the login. "+restart)
	case code == "" || len(code) > 4096 || len(q["code"]) > 1:
		l.release(n)
		landing(w, http.StatusBadRequest, "Not signed in", "The provider's response has no code. "+restart)
	default:
		stored, err := l.complete(r.Context(), n, code)
		if err != nil {
			l.cfg.Logger.Warn("a login failed", "provider", n.provider, "error", err)
			l.end(n, Outcome{Status: Failed, Reason: err.Error()})
			landing(w, http.StatusBadGateway, "Not signed in", "The provider returned no key. The terminal shows the reason.")
			return
		}
		l.cfg.Logger.Info("a login returned a key", "provider", n.provider, "storage", stored.Storage)
		l.end(n, Outcome{Status: Done, Stored: stored})
		landing(w, http.StatusOK, "Signed in", "The key is stored. You can close this page.")
	}
}

// take finds the login that a redirect belongs to and reserves it, so that another
// redirect cannot use it.
func (l *Logins) take(q url.Values) *login {
	states := slices.Compact(slices.Clone(q["state"]))
	if len(states) != 1 || states[0] == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(l.cfg.Now())
	for _, n := range l.byID {
		if n.outcome.Status == Pending && !n.exchanging && secret.New(n.state).Equal(secret.New(states[0])) {
			n.exchanging = true
			return n
		}
	}
	return nil
}

func (l *Logins) release(n *login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.exchanging = false
}

func (l *Logins) end(n *login, o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.exchanging = false
	o.Provider = n.provider
	l.finish(n, o)
}

// plainCode returns an error code of a provider, or a fixed text if it does not look like
// a code.
func plainCode(text string) string {
	if text == "" || len(text) > 64 || strings.ContainsFunc(text, func(r rune) bool {
		return r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '-')
	}) {
		return "an unnamed error"
	}
	return text
}

// complete exchanges the code for a key and stores it. Its errors contain nothing that
// the provider sent.
func (l *Logins) complete(ctx context.Context, n *login, code string) (Stored, error) {
	// The browser may disconnect; a key that the provider has issued must not be lost.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	key, err := l.exchange(ctx, n, code)
	if err != nil {
		return Stored{}, err
	}
	stored, err := l.cfg.Store(ctx, n.provider, key)
	if err != nil {
		return Stored{}, fmt.Errorf("store the key: %w", err)
	}
	l.mu.Lock()
	l.record[n.provider] = entry{Hint: stored.Hint, At: l.cfg.Now().UTC()}
	l.mu.Unlock()
	return stored, l.save()
}

// exchange sends the code to the token endpoint: as JSON to OpenRouter, and in the form
// of RFC 6749 section 4.1.3 to others.
func (l *Logins) exchange(ctx context.Context, n *login, code string) (secret.String, error) {
	var body io.Reader
	kind := "application/json"
	if n.provider == openrouter {
		fields := map[string]string{"code": code, "code_verifier": n.verifier, "code_challenge_method": "S256"}
		if n.client.ClientID != "" {
			fields["grant_type"], fields["client_id"], fields["redirect_uri"] = "authorization_code", n.client.ClientID, n.callback
			if n.client.ClientSecret != "" {
				fields["client_secret"] = n.client.ClientSecret
			}
		}
		data, err := json.Marshal(fields)
		if err != nil {
			return secret.String{}, err
		}
		body = bytes.NewReader(data)
	} else {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {n.verifier}, "client_id": {n.client.ClientID}, "redirect_uri": {n.callback},
		}
		if n.client.ClientSecret != "" {
			form.Set("client_secret", n.client.ClientSecret)
		}
		body, kind = strings.NewReader(form.Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.client.TokenURL, body)
	if err != nil {
		return secret.String{}, errors.New("the token endpoint's URL is malformed")
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Accept", "application/json")
	resp, err := l.http.Do(req)
	if err != nil {
		var uerr *url.Error
		if errors.As(err, &uerr) {
			err = uerr.Err // without the URL, which may contain secrets
		}
		return secret.String{}, fmt.Errorf("the token endpoint cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return secret.String{}, fmt.Errorf("the token endpoint responded with status %d", resp.StatusCode)
	}
	return readKey(resp.Header.Get("Content-Type"), data)
}

// readKey extracts the key from a token endpoint's response.
func readKey(kind string, data []byte) (secret.String, error) {
	var answer struct {
		Key         string `json:"key"`
		AccessToken string `json:"access_token"`
	}
	if media, _, err := mime.ParseMediaType(kind); err == nil && media == "application/x-www-form-urlencoded" {
		form, _ := url.ParseQuery(string(data))
		answer.AccessToken = form.Get("access_token")
	} else if json.Unmarshal(data, &answer) != nil {
		return secret.String{}, errors.New("the token endpoint's response is not JSON")
	}
	key := answer.Key
	if key == "" {
		key = answer.AccessToken
	}
	if key == "" || len(key) > 16<<10 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return secret.String{}, errors.New("the token endpoint's response contains no key")
	}
	return secret.New(key), nil
}

var landingPage = template.Must(template.New("landing").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Title}} – Hostless</title>
<style nonce="{{.Nonce}}">
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; box-sizing: border-box; background: #f5f6f8; color: #1c1e21; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 32rem; padding: 1.75rem 2rem; background: #fff; border: 1px solid #d9dde3; border-radius: 12px; }
h1 { margin: 0 0 .5rem; font-size: 1.25rem; }
p { margin: 0; }
@media (prefers-color-scheme: dark) { body { background: #14161a; color: #e8eaed; } main { background: #1d2026; border-color: #343941; } }
</style>
</head>
<body><main><h1>{{.Title}}</h1><p>{{.Text}}</p></main></body>
</html>
`))

// landing writes the page. It loads nothing and sends no referrer, because its URL
// contains a code.
func landing(w http.ResponseWriter, status int, title, text string) {
	nonce := rand.Text()
	var b bytes.Buffer
	if err := landingPage.Execute(&b, struct{ Title, Text, Nonce string }{title, text, nonce}); err != nil {
		http.Error(w, title, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
