package connect

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

const loginKey = "sk-or-v1-canary-of-a-login-0000000000000000"

// authority stands in for a provider's sign-in pages: OpenRouter's, with the state in the
// callback, and one that follows RFC 6749.
type authority struct {
	*httptest.Server
	mu        sync.Mutex
	challenge map[string]string // by code
	refuse    bool              // the token endpoint returns no key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{challenge: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		back := q.Get("callback_url")
		if back == "" {
			back = q.Get("redirect_uri") + "?state=" + url.QueryEscape(q.Get("state"))
		}
		if q.Get("code_challenge_method") != "S256" || back == "" {
			http.Error(w, "bad request", 400)
			return
		}
		a.mu.Lock()
		code := fmt.Sprintf("code-%d", len(a.challenge))
		a.challenge[code] = q.Get("code_challenge")
		a.mu.Unlock()
		http.Redirect(w, r, back+"&code="+code, http.StatusFound)
	})
	mux.HandleFunc("POST /keys", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]string
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body["code_challenge_method"] != "S256" {
			http.Error(w, "bad request", 400)
			return
		}
		a.give(w, body["code"], body["code_verifier"], "key")
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "authorization_code" || r.FormValue("client_id") != "mine" || r.FormValue("client_secret") != "hush" || r.FormValue("redirect_uri") == "" {
			http.Error(w, "bad request", 400)
			return
		}
		a.give(w, r.FormValue("code"), r.FormValue("code_verifier"), "access_token")
	})
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) give(w http.ResponseWriter, code, verifier, name string) {
	sum := sha256.Sum256([]byte(verifier))
	a.mu.Lock()
	challenge, ok := a.challenge[code]
	delete(a.challenge, code)
	refuse := a.refuse
	a.mu.Unlock()
	if !ok || refuse || challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		http.Error(w, `{"error":"invalid_grant `+loginKey+`"}`, 400)
		return
	}
	json.NewEncoder(w).Encode(map[string]string{name: loginKey})
}

// signIn runs `hostless auth login` and returns the URL that it prints, and a function
// that waits for its end.
func signIn(t *testing.T, d *harness.Daemon, provider string) (page string, end func() (string, int)) {
	t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "auth", "login", provider, "--no-browser")
	cmd.Env = d.Env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	page, err = lines.ReadString('\n')
	if err != nil {
		cmd.Wait()
		t.Fatalf("no address: %v %s", err, stderr.String())
	}
	return strings.TrimSpace(page), func() (string, int) {
		rest, _ := io.ReadAll(lines)
		cmd.Wait()
		return page + string(rest) + stderr.String(), cmd.ProcessState.ExitCode()
	}
}

// visit fetches a URL like a browser, following redirects.
func visit(t *testing.T, address string) (int, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// TestLogin signs in at OpenRouter and at a configured provider, and out again. The key
// is in storage and nowhere else.
func TestLogin(t *testing.T) {
	a := newAuthority(t)
	home := harness.Home(t)
	config := fmt.Sprintf(`{"oauth_clients":{
		"openrouter":{"auth_url":"%[1]s/auth","token_url":"%[1]s/keys"},
		"groq":{"auth_url":"%[1]s/auth","token_url":"%[1]s/token","client_id":"mine","client_secret":"hush","scopes":["a","b"]},
		"mistral":{"auth_url":"http://evil.example/auth","token_url":"%[1]s/token","client_id":"x"}}}`, a.URL)
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d := harness.StartIn(t, home)
	var outputs []string

	for _, provider := range []string{"openrouter", "groq"} {
		page, end := signIn(t, d, provider)
		// Requests that are not the provider's redirect change nothing.
		for _, bad := range []string{"", "?code=x", "?code=x&state=guessed", "?state=guessed&error=access_denied", "?error=<script>&state=%00"} {
			if status, body := visit(t, d.URL+"/callback"+bad); status != 400 || strings.Contains(body, "guessed") || strings.Contains(body, "<script>") {
				t.Errorf("/callback%s: %d %s", bad, status, body)
			}
		}
		status, body := visit(t, page)
		if status != 200 || !strings.Contains(body, "Signed in") {
			t.Errorf("%s: %d %s", provider, status, body)
		}
		out, code := end()
		if code != 0 || !strings.Contains(out, provider+": key stored (") {
			t.Errorf("%s: exit %d\n%s", provider, code, out)
		}
		outputs = append(outputs, out, body)
	}
	keys := d.Must("keys", "list", "--json")
	if strings.Count(keys, `"hint"`) != 2 {
		t.Errorf("keys: %s", keys)
	}
	logins := d.Must("auth", "status")
	if strings.Count(logins, "in use") != 2 {
		t.Errorf("logins:\n%s", logins)
	}

	// A login that is refused, or whose provider returns no key, reports it.
	page, end := signIn(t, d, "openrouter")
	callback, _ := url.Parse(mustQuery(t, page, "callback_url"))
	if status, body := visit(t, callback.String()+"&error=access_denied"); status != 400 || strings.Contains(body, "access_denied") {
		t.Errorf("refused: %d %s", status, body)
	}
	out, code := end()
	if code != 1 || !strings.Contains(out, "access_denied") {
		t.Errorf("refused: exit %d\n%s", code, out)
	}
	if status, _ := visit(t, callback.String()+"&code=late"); status != 400 {
		t.Errorf("a state is good twice: %d", status)
	}
	a.mu.Lock()
	a.refuse = true
	a.mu.Unlock()
	page, end = signIn(t, d, "openrouter")
	if status, _ := visit(t, page); status != 502 {
		t.Errorf("no key: %d", status)
	}
	if out, code = end(); code != 1 || !strings.Contains(out, "responded with status 400") {
		t.Errorf("no key: exit %d\n%s", code, out)
	}
	outputs = append(outputs, out)

	for provider, want := range map[string]string{"mistral": "must be an https URL", "cohere": "no login", "nobody": "no login"} {
		if r := d.CLI("auth", "login", provider, "--no-browser"); r.Code != 1 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d %s", provider, r.Code, r.Stderr)
		}
	}

	d.Must("auth", "logout", "openrouter")
	if keys := d.Must("keys", "list"); strings.Contains(keys, "openrouter") || !strings.Contains(keys, "groq") {
		t.Errorf("after logout:\n%s", keys)
	}
	if r := d.CLI("auth", "logout", "openrouter"); r.Code != 1 {
		t.Errorf("logout twice: exit %d", r.Code)
	}
	d.CLIWith("gsk_another_key_of_mine_0000001111", "keys", "add", "groq", "-")
	if r := d.CLI("auth", "logout", "groq"); r.Code != 1 || !strings.Contains(r.Stderr, "was changed after") {
		t.Errorf("a key that was changed: exit %d %s", r.Code, r.Stderr)
	}
	if keys := d.Must("keys", "list"); !strings.Contains(keys, "groq") {
		t.Error("a key that did not come from the login was removed")
	}

	record, err := os.ReadFile(filepath.Join(home, "logins.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(outputs, string(record), d.Log(), logins) {
		if strings.Contains(text, loginKey) || strings.Contains(text, "hush") {
			t.Errorf("the key is shown:\n%s", text)
		}
	}
}

func mustQuery(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}
