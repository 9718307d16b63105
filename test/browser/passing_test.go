package browser

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
)

// TestStream reads server-sent events through NAME.localhost. The second event is sent
// only after the page has received the first.
func TestStream(t *testing.T) {
	d := harness.Start(t)
	seen := make(chan struct{}, 10)
	url := app(t, d, "stream", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				http.NewResponseController(w).Flush()
				select {
				case <-seen:
				case <-time.After(20 * time.Second):
					t.Errorf("the page has not seen event %d", i)
					return
				}
			}
		case "/seen":
			seen <- struct{}{}
		default:
			html(`<p id=got></p><script>
new EventSource("/events").onmessage = (e) => { got.append(e.data + " "); fetch("/seen"); };
</script>`)(w, r)
		}
	})
	chromium.Start(t, chromium.Options{}).Open(url).WaitText("0 1 2")
}

// TestDownload saves a file through NAME.localhost, byte for byte.
func TestDownload(t *testing.T) {
	d := harness.Start(t)
	content := make([]byte, 5<<20)
	rand.Read(content)
	url := app(t, d, "files", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/file" {
			html(`<a id=file href="/file">file</a>`)(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", `attachment; filename="the file.bin"`)
		w.Write(content)
	})
	browser, dir := chromium.Start(t, chromium.Options{}), t.TempDir()
	states := browser.Downloads(dir)
	browser.Open(url).Eval(`document.querySelector("#file").click() ?? ""`)
	select {
	case state := <-states:
		if state != "completed" {
			t.Fatalf("the download is %s", state)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the download does not end")
	}
	got, err := os.ReadFile(filepath.Join(dir, "the file.bin"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("saved %d bytes, want the %d that were sent (%v)", len(got), len(content), err)
	}
}

// sockets is an app whose page opens a WebSocket to it.
func sockets(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/socket" {
		html(r.Host+" "+r.Header.Get("X-Forwarded-Proto"))(w, r)
		return
	}
	up := websocket.Upgrader{Subprotocols: []string{"echo.v2"}, EnableCompression: true}
	c, err := up.Upgrade(w, r, http.Header{"Set-Cookie": {"socket=1; Path=/"}})
	if err != nil {
		return
	}
	defer c.Close()
	c.SetCloseHandler(func(code int, text string) error {
		return c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(time.Second))
	})
	for {
		kind, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		if c.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// speak opens a WebSocket to the page's own host, which echoes text and binary messages
// of many sizes. Its value is the subprotocol and how the socket was closed.
const speak = `new Promise((done, failed) => {
	const ws = new WebSocket(location.origin.replace("http", "ws") + "/socket", ["echo.v1", "echo.v2"]);
	ws.binaryType = "arraybuffer";
	const sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20];
	let i = 0, text = true;
	const next = () => i < sizes.length ? ws.send(text ? "ä".repeat(sizes[i]) : new Uint8Array(sizes[i]).fill(7)) : ws.close(4321, "enough");
	ws.onopen = next;
	ws.onmessage = (m) => {
		const got = text ? m.data.length : m.data.byteLength;
		if (got !== sizes[i] || text !== (typeof m.data === "string")) failed(new Error("sent " + sizes[i] + ", got " + got));
		if (!text) i++;
		text = !text;
		next();
	};
	ws.onerror = () => failed(new Error("the socket failed"));
	ws.onclose = (e) => done(ws.protocol + " " + e.code + " " + e.reason + " " + e.wasClean);
})`

// spoken opens the app, runs speak, and returns the status of the WebSocket handshake.
func spoken(t *testing.T, tab *chromium.Page, url string) int {
	t.Helper()
	tab.Go(url)
	tab.Call("Network.enable", nil, nil)
	answers := tab.Events("Network.webSocketHandshakeResponseReceived")
	if got := tab.Eval(speak); got != "echo.v2 4321 enough true" {
		t.Errorf("%s: the socket closed with %q", url, got)
	}
	var answer struct{ Response struct{ Status int } }
	select {
	case e := <-answers:
		if err := json.Unmarshal(e, &answer); err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the browser reported no handshake")
	}
	return answer.Response.Status
}

// TestSocket uses a WebSocket through http://NAME.localhost.
func TestSocket(t *testing.T) {
	d := harness.Start(t)
	if status := spoken(t, chromium.Start(t, chromium.Options{}).Tab(), app(t, d, "ws", sockets)); status != http.StatusSwitchingProtocols {
		t.Errorf("status %d", status)
	}
}

// TestSecure opens an app at https://NAME.localhost with a trusted certificate, over
// HTTP/2, and uses a WebSocket there. Plain http still works.
func TestSecure(t *testing.T) {
	d := harness.Start(t, "--tls")
	plain := app(t, d, "ws", sockets)
	secure := strings.Replace(plain, "http://", "https://", 1)

	stranger := chromium.Start(t, chromium.Options{}).Tab()
	var refused struct{ ErrorText string }
	stranger.Call("Page.navigate", map[string]any{"url": secure}, &refused)
	if refused.ErrorText != "net::ERR_CERT_AUTHORITY_INVALID" {
		t.Errorf("without trust: %q", refused.ErrorText)
	}

	home := harness.Home(t)
	chromium.Trust(t, d, home)
	tab := chromium.Start(t, chromium.Options{Home: home}).Open(secure)
	tab.WaitText("ws.localhost:" + d.Port + " https")
	if got := tab.Eval(`performance.getEntriesByType("navigation")[0].nextHopProtocol`); got != "h2" {
		t.Errorf("the page came over %s, want h2", got)
	}
	// Over HTTP/2 Chromium uses extended CONNECT (RFC 8441), for which the status is 200.
	// A 101 would mean a separate HTTP/1.1 connection.
	if status := spoken(t, tab, secure); status != http.StatusOK {
		t.Errorf("the socket over https: status %d, want that of HTTP/2", status)
	}
	if status := spoken(t, tab, plain); status != http.StatusSwitchingProtocols {
		t.Errorf("the socket over http: status %d", status)
	}
	tab.Go("https://localhost:" + d.Port + "/health")
	tab.WaitText(`"service":"hostless"`)
	d.Must("alias", "gone", closedPort(t))
	tab.Go("https://gone.localhost:" + d.Port + "/")
	tab.WaitText("502")
	// There is no certificate for a name that is not served.
	tab.Call("Page.navigate", map[string]any{"url": "https://no-such-app.localhost:" + d.Port + "/"}, &refused)
	if !strings.HasPrefix(refused.ErrorText, "net::ERR_SSL_") {
		t.Errorf("a name that is not served: %q", refused.ErrorText)
	}
}
