package reqlog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Defaults of AppsConfig.
const (
	appRows        = 10_000
	appQueue       = 8192
	appSegmentSize = 4 << 20
	appTotalSize   = 32 << 20
	appMaxAge      = 7 * 24 * time.Hour
	maxPath        = 512
)

// AppRow is one request to an app. It contains no query, no header and no body.
type AppRow struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"` // arrival, UTC
	App        string    `json:"app"`  // the app's NAME; if no app has it, the name that was requested
	Method     string    `json:"method"`
	Path       string    `json:"path"`   // as sent, without the query
	Status     int       `json:"status"` // as the client got it; 0 if it got none
	DurationMS int64     `json:"duration_ms"`
	Upgrade    string    `json:"upgrade,omitempty"` // the protocol that the connection was upgraded to
	Known      bool      `json:"-"`                 // whether there is an app of that name; not stored
}

func (r *AppRow) when() time.Time { return r.Time }
func (r *AppRow) key() string     { return r.ID }

// AppsConfig is what NewApps needs. Sizes that are 0 get their default.
type AppsConfig struct {
	Dir    string                // directory of the segments, created with the first row; required
	Redact func(s string) string // removes secrets from paths; nil keeps them as they are
	Now    func() time.Time      // default time.Now
	Logger *slog.Logger          // default discards
	// Observe is called for each row, in the writer's goroutine; may be nil.
	Observe func(*AppRow)

	Rows        int           // rows kept in memory; default 10,000
	Queue       int           // rows waiting to be written; default 8,192
	SegmentSize int64         // bytes after which a day's next segment begins; default 4 MiB
	TotalSize   int64         // bytes of all segments; default 32 MiB
	MaxAge      time.Duration // of a segment; default 7 days
}

// Apps is the request log of the apps plane. It gives the same guarantees as Log.
type Apps struct {
	journal[*AppRow]
	redact func(string) string // may be nil
	ids    string              // prefix of this process's row IDs
	serial atomic.Uint64
}

// NewApps returns a log and starts its writer, which Close stops.
func NewApps(cfg AppsConfig) (*Apps, error) {
	if cfg.Dir == "" {
		return nil, errors.New("request log of the apps: Dir is required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&cfg.Rows, appRows)
	orDefault(&cfg.Queue, appQueue)
	orDefault(&cfg.SegmentSize, appSegmentSize)
	orDefault(&cfg.TotalSize, appTotalSize)
	orDefault(&cfg.MaxAge, appMaxAge)
	a := &Apps{ids: appPrefix + strings.ToLower(rand.Text()[:12]) + "-"}
	a.what, a.log, a.decode, a.encode, a.done, a.redact = appsName, cfg.Logger, decodeApp, appendAppRow, cfg.Observe, cfg.Redact
	limits := limits{cfg.Rows, cfg.Queue, cfg.SegmentSize, cfg.TotalSize, cfg.MaxAge}
	if err := recoverSpools(&segments{dir: cfg.Dir, now: cfg.Now, size: limits.segment, total: limits.total, age: limits.age}); err != nil {
		cfg.Logger.Error("cannot write rows of the "+appsName+" that a kill has left unwritten", "error", err)
	}
	a.start(cfg.Dir, cfg.Now, limits)
	return a, nil
}

// appsName is the log's name in messages.
const appsName = "request log of the apps"

// Warning describes what is wrong with the log; "" means that nothing is.
func (a *Apps) Warning() string { return a.trouble.warning(appsName) }

// Note adds the row of a request that was answered, and sets its ID. It never
// blocks: if the writer is too far behind, the row is dropped and counted.
func (a *Apps) Note(r AppRow) {
	r.ID = a.ids + strconv.FormatUint(a.serial.Add(1), 10)
	if len(r.Path) > maxPath {
		r.Path = r.Path[:maxPath]
	}
	r.Path = strings.ToValidUTF8(r.Path, "\ufffd")
	if a.redact != nil {
		r.Path = a.redact(r.Path)
	}
	a.offer(&r)
}

// Last returns the last n rows that match, by arrival, newest last.
func (a *Apps) Last(n int, f Filter) ([]*AppRow, error) {
	a.Sync()
	return a.last(n, f.Since, f.MatchApp)
}

// appPrefix opens the id of every request to an app.
const appPrefix = "app_"

// Find gives the row of an id, or nil; that of another plane's row is not looked for.
func (a *Apps) Find(id string) (*AppRow, error) {
	if !strings.HasPrefix(id, appPrefix) {
		return nil, nil
	}
	return a.find(id)
}

// Follow calls yield with the last n rows that match and then with each new one,
// until ctx ends, yield fails, or the reader is too slow.
func (a *Apps) Follow(ctx context.Context, n int, f Filter, yield func(*AppRow) error) error {
	return a.follow(ctx, n, f.Since, f.MatchApp, nil, yield)
}

func decodeApp(line []byte) (*AppRow, bool) {
	var r AppRow
	ok := json.Unmarshal(line, &r) == nil && r.ID != ""
	return &r, ok
}
