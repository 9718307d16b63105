// Command chat is an example web app for `hostless run chat`: a page that talks to
// language models from the browser through the gateway, with the app's own bridge token.
// It has no provider key and proxies nothing.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

//go:embed page
var page embed.FS

// settings are passed to the page. The token only works from the app's own origin, and is
// revoked when the app stops.
type settings struct {
	API   string `json:"api"`
	Token string `json:"token"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// serve runs the app until ctx ends.
func serve(ctx context.Context) error {
	s := settings{API: os.Getenv("HOSTLESS_API"), Token: os.Getenv("HOSTLESS_TOKEN")}
	if s.API == "" || s.Token == "" {
		return errors.New("HOSTLESS_API and HOSTLESS_TOKEN are not set; start it with: hostless run chat -- go run ./examples/chat")
	}
	handler, err := newHandler(s)
	if err != nil {
		return err
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "0"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}

// newHandler returns a handler that serves the page with its settings, and its script and
// style.
func newHandler(s settings) (http.Handler, error) {
	index, err := template.ParseFS(page, "page/index.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(page, "page")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /chat.js", http.FileServerFS(files))
	mux.Handle("GET /chat.css", http.FileServerFS(files))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store") // it contains the token
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src "+origin(s.API)+"; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		index.Execute(w, s)
	})
	return mux, nil
}

// origin returns the scheme and host of a URL.
func origin(api string) string {
	slashes := 0
	for i, c := range api {
		if c == '/' {
			if slashes++; slashes == 3 {
				return api[:i]
			}
		}
	}
	return api
}
