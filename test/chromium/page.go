package chromium

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Page is a tab.
type Page struct {
	b       *Browser
	session string
}

// Open opens a tab and loads the URL.
func (b *Browser) Open(url string) *Page {
	b.t.Helper()
	p := b.Tab()
	p.Go(url)
	return p
}

// Tab opens an empty tab.
func (b *Browser) Tab() *Page {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &Page{b: b, session: attached.SessionID}
	p.Call("Page.enable", nil, nil)
	p.Call("Runtime.enable", nil, nil)
	return p
}

// Call runs one command of the DevTools protocol in the tab.
func (p *Page) Call(method string, params, result any) {
	p.b.t.Helper()
	p.b.call(p.session, method, params, result)
}

// Events returns a channel with all following events of one method. Its domain must be
// enabled.
func (p *Page) Events(method string) <-chan json.RawMessage { return p.b.events(p.session, method) }

// Go loads a URL and waits for the load event. It fails the test if nothing could be
// loaded; a server's error page counts as loaded.
func (p *Page) Go(url string) {
	p.b.t.Helper()
	loaded := p.Events("Page.loadEventFired")
	var result struct{ ErrorText string }
	p.Call("Page.navigate", map[string]any{"url": url}, &result)
	if result.ErrorText != "" {
		p.b.t.Fatalf("chromium: %s: %s", url, result.ErrorText)
	}
	select {
	case <-loaded:
	case <-time.After(callTimeout):
		p.b.t.Fatalf("chromium: %s is not loaded", url)
	}
}

// TryEval evaluates an expression, and awaits it if it is a promise. It decodes the value
// into a pointer; nil discards it.
func (p *Page) TryEval(expression string, into any) error {
	var r struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := p.b.try(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &r)
	switch {
	case err != nil:
		return err
	case r.ExceptionDetails != nil:
		return fmt.Errorf("%s %s", r.ExceptionDetails.Text, r.ExceptionDetails.Exception.Description)
	case into != nil && len(r.Result.Value) > 0:
		return json.Unmarshal(r.Result.Value, into)
	}
	return nil
}

// Eval is TryEval that must succeed and returns a string.
func (p *Page) Eval(expression string) string {
	p.b.t.Helper()
	var text string
	if err := p.TryEval(expression, &text); err != nil {
		p.b.t.Fatalf("chromium: %s: %v", expression, err)
	}
	return text
}

// Within evaluates an expression repeatedly until it is true, also across navigations. It
// reports whether that happened in time.
func (p *Page) Within(limit time.Duration, expression string) bool {
	for end := time.Now().Add(limit); ; time.Sleep(25 * time.Millisecond) {
		var ok bool
		// A navigation destroys the context in which the expression runs.
		if err := p.TryEval("!!("+expression+")", &ok); err == nil && ok {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// Wait is Within for a minute and must succeed.
func (p *Page) Wait(expression string) {
	p.b.t.Helper()
	if !p.Within(callTimeout, expression) {
		p.b.t.Fatalf("chromium: never true: %s\non the page: %.2000s", expression, p.Text())
	}
}

// WaitText waits until the page's text contains the words.
func (p *Page) WaitText(words string) {
	p.b.t.Helper()
	p.Wait(Reads(words))
}

// Reads returns an expression that is true if the page's text contains the words.
func Reads(words string) string {
	quoted, _ := json.Marshal(words)
	return "document.body?.innerText.includes(" + string(quoted) + ")"
}

// Text returns the visible text of the page, preceded by its URL.
func (p *Page) Text() string {
	var text string
	if err := p.TryEval(`location.href + "\n" + (document.body ? document.body.innerText : "")`, &text); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text)
}

// Look sets the window's size and color scheme: "light" or "dark".
func (p *Page) Look(width, height int, scheme string) {
	p.b.t.Helper()
	p.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	p.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot returns the window as a PNG.
func (p *Page) Screenshot() []byte {
	p.b.t.Helper()
	var shot struct{ Data string }
	p.Call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		p.b.t.Fatal(err)
	}
	return png
}
