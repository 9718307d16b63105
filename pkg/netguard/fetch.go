package netguard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Limits limit the downloads of a Budget. A zero field means its default.
type Limits struct {
	Files int           // number of downloads; 100
	File  int64         // bytes per file; 20 MiB
	Total int64         // bytes of all files together; 64 MiB
	Time  time.Duration // duration from the first request to the end of all downloads; 60 s
}

func (l Limits) withDefaults() Limits {
	if l.Files <= 0 {
		l.Files = 100
	}
	if l.File <= 0 {
		l.File = 20 << 20
	}
	if l.Total <= 0 {
		l.Total = 64 << 20
	}
	if l.Time <= 0 {
		l.Time = time.Minute
	}
	return l
}

const (
	fileTimeout  = 20 * time.Second // per file
	maxRedirects = 3
)

// Fetcher downloads files from addresses that clients name. The addresses are not
// trusted: it uses only https, sends no key or cookie, uses no proxy, and refuses this
// machine and private networks, also after name resolution and redirects. It is safe for
// concurrent use.
type Fetcher struct {
	client    *http.Client
	userAgent string
	limits    Limits
}

// NewFetcher returns a fetcher that connects with dial, whose address rules are replaced
// by the fetcher's own. roots is the TLS configuration; nil means the default.
func NewFetcher(dial Dialer, roots *tls.Config, userAgent string, limits Limits) *Fetcher {
	dial.AllowPrivate, dial.AllowProxy, dial.RefuseLoopback = false, false, true
	return &Fetcher{
		userAgent: userAgent, limits: limits.withDefaults(),
		client: &http.Client{
			Timeout: fileTimeout,
			Transport: &http.Transport{
				DialContext:     dial.DialContext,
				TLSClientConfig: roots.Clone(), TLSHandshakeTimeout: 10 * time.Second,
				ForceAttemptHTTP2: true, MaxIdleConns: 8, IdleConnTimeout: 30 * time.Second,
			},
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if r.URL.Scheme != "https" || len(via) > maxRedirects {
					return errors.New("too many redirects")
				}
				return nil
			},
		},
	}
}

// Close closes idle connections.
func (f *Fetcher) Close() { f.client.CloseIdleConnections() }

// Budget returns a new budget for the downloads of one request.
func (f *Fetcher) Budget() *Budget {
	return &Budget{fetcher: f, files: f.limits.Files, bytes: f.limits.Total}
}

// Budget limits the downloads for one request: their number, size and duration, per file
// and in total. It is safe for concurrent use.
type Budget struct {
	fetcher *Fetcher

	mu       sync.Mutex
	files    int   // files that can still be requested
	bytes    int64 // bytes that can still be read
	deadline time.Time
}

// Fetch downloads a file and returns its media type and content. If the file cannot be
// downloaded, the error is fault.Invalid. Its message is only for the log, because a
// client that learned the reason could explore the network. If a total limit is exceeded,
// the error is fault.TooLarge with a message for the client.
func (b *Budget) Fetch(ctx context.Context, address string) (mediaType string, data []byte, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", nil, invalid("must have an https address", err)
	}
	deadline, err := b.begin()
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, b.timeExceeded())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", nil, invalid("must have an https address", err)
	}
	req.Header.Set("User-Agent", b.fetcher.userAgent)
	resp, err := b.fetcher.client.Do(req)
	if err != nil {
		return "", nil, unavailable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", nil, invalid(fmt.Sprintf("cannot be downloaded: status %d", resp.StatusCode), nil)
	}
	if data, err = b.read(ctx, resp); err != nil {
		return "", nil, err
	}
	mediaType, _, err = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType == "application/octet-stream" || mediaType == "binary/octet-stream" {
		mediaType, _, _ = strings.Cut(http.DetectContentType(data), ";")
	}
	return mediaType, data, nil
}

// begin counts a download and returns the deadline for all of them.
func (b *Budget) begin() (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.files <= 0 {
		return time.Time{}, exceeded(fmt.Sprintf("more than %d files", b.fetcher.limits.Files))
	}
	b.files--
	if b.deadline.IsZero() {
		b.deadline = time.Now().Add(b.fetcher.limits.Time)
	}
	return b.deadline, nil
}

// read reads a body of at most the limit per file, and counts each byte against the total
// before it is stored. If the length is announced and too large, nothing is read.
func (b *Budget) read(ctx context.Context, resp *http.Response) ([]byte, error) {
	limit := b.fetcher.limits.File
	if resp.ContentLength > limit {
		return nil, fileTooLarge(limit)
	}
	if resp.ContentLength >= 0 {
		if err := b.take(resp.ContentLength); err != nil {
			return nil, err
		}
		data := make([]byte, resp.ContentLength)
		if _, err := io.ReadFull(resp.Body, data); err != nil {
			return nil, unavailable(ctx, err)
		}
		return data, nil
	}
	var data []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(chunk)
		if int64(len(data)+n) > limit {
			return nil, fileTooLarge(limit)
		}
		if exceeded := b.take(int64(n)); exceeded != nil {
			return nil, exceeded
		}
		data = append(data, chunk[:n]...)
		switch {
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, unavailable(ctx, err)
		}
	}
}

// take counts bytes against the total.
func (b *Budget) take(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.bytes {
		b.bytes = 0
		return exceeded(fmt.Sprintf("more than %d MiB of files", b.fetcher.limits.Total>>20))
	}
	b.bytes -= n
	return nil
}

func (b *Budget) timeExceeded() error {
	return exceeded(fmt.Sprintf("files that take more than %d s to download", int(b.fetcher.limits.Time.Seconds())))
}

// invalid returns the error for a file that cannot be used.
func invalid(why string, err error) error {
	return &fault.Error{Kind: fault.Invalid, Message: "a file that a message points at " + why, Param: "messages", Err: err}
}

func fileTooLarge(limit int64) error {
	return invalid(fmt.Sprintf("is larger than %d MiB", limit>>20), nil)
}

// exceeded returns the error for an exceeded total limit.
func exceeded(what string) error {
	return &fault.Error{
		Kind: fault.TooLarge, Param: "messages",
		Message: "the messages point at " + what + ", which is the most that is downloaded for one request",
		Next:    "send fewer files, or send them as data: URLs",
	}
}

// unavailable returns the error for a file that could not be downloaded.
func unavailable(ctx context.Context, err error) error {
	var total *fault.Error
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &total) {
		return total
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		return invalid("leads to "+refused.Why+", which is refused", err)
	}
	return invalid("cannot be downloaded", err)
}
