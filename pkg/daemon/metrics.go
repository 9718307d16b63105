package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/metrics"
)

// metricsRetry is the interval at which a metrics port that is in use is tried again. A
// predecessor may be about to close it.
const metricsRetry = time.Second

// serveMetrics serves GET /metrics on the loopback port of the setting metrics-port to
// clients with the token of metrics.token. It follows the setting and ends with ctx.
func (d *daemon) serveMetrics(ctx context.Context) error {
	warned := false
	for {
		port := d.settings.MetricsPort()
		var retry <-chan time.Time
		end := func() {}
		if port != 0 {
			stop, err := d.listenMetrics(port)
			switch {
			case err == nil:
				end, warned = stop, false
				d.warnings.set("metrics", nil)
			case !warned:
				warned = true
				d.log.Warn("metrics are not served on their port yet", "port", port, "error", err)
				d.warnings.set("metrics", []string{"metrics-port " + strconv.Itoa(port) + " cannot be used: " + err.Error()})
				fallthrough
			default:
				retry = time.After(metricsRetry)
			}
		} else {
			d.warnings.set("metrics", nil)
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				end()
				return nil
			case <-retry:
				again = true
			case <-d.metricsPort:
				again = d.settings.MetricsPort() != port
			}
		}
		end()
	}
}

// listenMetrics serves the port until stop is called, which also closes connections.
func (d *daemon) listenMetrics(port int) (stop func(), err error) {
	token, err := d.metricsToken()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: d.metricsHandler(token), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	served := make(chan struct{})
	go func() { // ends with stop
		defer close(served)
		server.Serve(listener)
	}()
	d.log.Info("serving metrics", "port", port)
	return func() { server.Close(); <-served }, nil
}

// metricsHandler serves GET /metrics for requests with the token, and nothing else.
func (d *daemon) metricsHandler(token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		switch {
		case !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(strings.TrimSpace(given)), []byte(token)) != 1:
			w.Header().Set("WWW-Authenticate", `Bearer realm="hostless metrics"`)
			http.Error(w, "the request needs the token of metrics.token in the Hostless home: hostless metrics --scrape-config", http.StatusUnauthorized)
		case r.URL.Path != "/metrics":
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
		default:
			var text bytes.Buffer
			if err := d.WriteMetrics(&text); err != nil {
				http.Error(w, "metrics cannot be written", http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", metrics.ContentType)
			w.Write(text.Bytes())
		}
	})
}

// metricsToken reads the token of the metrics port, and creates it the first time.
func (d *daemon) metricsToken() (string, error) {
	path := d.cfg.Paths.MetricsToken()
	data, _, err := config.ReadPrivate(path)
	if token := strings.TrimSpace(string(data)); err == nil && len(token) >= 20 {
		return token, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	token := "hm_" + rand.Text()
	return token, config.WritePrivate(path, []byte(token+"\n"))
}
