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

// Limits bound the downloads of one Budget. The zero value of a field is its
// default.
type Limits struct {
	Files int           // how many downloads: 100
	File  int64         // bytes of one file: 20 MiB
	Total int64         // bytes of all files together: 64 MiB
	Time  time.Duration // for all files together, from the first request on: 60 s
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
	fileTimeout  = 20 * time.Second // for one file
	maxRedirects = 3
)

// Fetcher downloads files from addresses that callers name, which are theirs and
// not the user's: over https alone, without key, cookie or proxy, and from neither
// this machine nor a private network, whatever a name resolves to and wherever a
// redirect leads. It is safe for concurrent use.
type Fetcher struct {
	client    *http.Client
	userAgent string
	limits    Limits
}

// NewFetcher makes a fetcher that connects with dial, whose rules for addresses
// are replaced by the fetcher's own. roots is the TLS configuration; nil is the
// system's.
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
					return errors.New("the redirect leads too far")
				}
				return nil
			},
		},
	}
}

// Close closes idle connections.
func (f *Fetcher) Close() { f.client.CloseIdleConnections() }

// Budget begins the downloads of one request.
func (f *Fetcher) Budget() *Budget {
	return &Budget{fetcher: f, files: f.limits.Files, bytes: f.limits.Total}
}

// Budget bounds the files that are downloaded for one request: their number, their
// bytes and the time that they take, each and in all. It is safe for concurrent
// use.
type Budget struct {
	fetcher *Fetcher

	mu       sync.Mutex
	files    int   // that may still be requested
	bytes    int64 // that may still be read
	deadline time.Time
}

// Fetch downloads one file and gives its media type and bytes. The error is
// fault.Invalid for a file that cannot be had, whose message is for the log: a
// caller that learned why could explore a network. It is fault.TooLarge, with a
// message for the caller, where a total is used up.
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

// begin counts one download and gives the time at which all must have ended.
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

// read takes a body of at most one file's bytes, each counted against the total
// before it is kept. A length that is known to be too large is not read at all.
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

// invalid is the error of one file.
func invalid(why string, err error) error {
	return &fault.Error{Kind: fault.Invalid, Message: "a file that a message points at " + why, Param: "messages", Err: err}
}

func fileTooLarge(limit int64) error {
	return invalid(fmt.Sprintf("is larger than %d MiB", limit>>20), nil)
}

// exceeded is the error of a total that is used up.
func exceeded(what string) error {
	return &fault.Error{
		Kind: fault.TooLarge, Param: "messages",
		Message: "the messages point at " + what + ", which is the most that is downloaded for one request",
		Next:    "send fewer files, or send them as data: URLs",
	}
}

// unavailable is the error of a file that did not come.
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
