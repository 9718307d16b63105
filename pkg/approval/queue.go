package approval

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Bounds of the queue.
const (
	maxHold    = 120 * time.Second // how long a request is held for the person
	approvable = 5 * time.Minute   // how long a request can be answered, and its answer collected
	maxWaiting = 16
)

// Config configures a Queue. The zero value stores nothing on disk and asks nobody.
type Config struct {
	Path  string // approvals.json; "" stores nothing
	Asker Asker  // the desktop; nil means none
	// OnDialog is called with each answer given in a dialog; it may be nil.
	OnDialog func(a Approval, allowed bool)
	Now      func() time.Time
	NewID    func() string
	Logger   *slog.Logger
}

// Queue holds the requests that wait for a person, and the grants that are remembered. It
// is safe for concurrent use.
type Queue struct {
	path  string
	asker Asker
	now   func() time.Time
	newID func() string
	log   *slog.Logger

	onDialog func(Approval, bool)

	mu      sync.Mutex
	entries map[string]*entry // by id
	grants  map[string]Grant  // by origin
	rates   rates
	dirty   bool // the state differs from the file

	writing sync.Mutex // held while the file is written; locked before mu
	closed  bool       // the file belongs to the next daemon; guarded by writing

	closing   chan struct{}
	closeOnce sync.Once
	asking    sync.WaitGroup
	dialogs   chan struct{} // bounds the number of dialogs on the screen
}

// state is the state of a request.
type state string

const (
	pending   state = "pending"
	approved  state = "approved"
	denied    state = "denied"
	withdrawn state = "withdrawn" // replaced by another request of its origin, or expired
)

// entry is one request in the queue. The fields below answer are guarded by Queue.mu.
type entry struct {
	id      string
	req     Request
	created time.Time
	answer  chan struct{} // closed when the state is no longer pending

	expires time.Time
	state   state
	terms   Terms
	holders int    // HTTP requests that wait for it
	asked   bool   // a dialog has been shown
	stop    func() // closes the dialog; nil without one
}

// Approval is a pending request, as it is listed.
type Approval struct {
	ID        string
	CreatedAt time.Time
	ExpiresAt time.Time
	Request
}

// Verdict is the outcome of a request: approved with Terms, denied, or still pending
// under ID.
type Verdict struct {
	State state
	ID    string
	Terms Terms
}

// New returns a queue with the state that an earlier daemon stored. A file that cannot be
// read is kept aside and reported in the warnings.
func New(cfg Config) (*Queue, []string, error) {
	q := &Queue{
		path: cfg.Path, asker: cfg.Asker, now: cfg.Now, newID: cfg.NewID, log: cfg.Logger, onDialog: cfg.OnDialog,
		entries: map[string]*entry{}, grants: map[string]Grant{}, rates: rates{},
		closing: make(chan struct{}), dialogs: make(chan struct{}, 3),
	}
	if q.now == nil {
		q.now = time.Now
	}
	if q.newID == nil {
		q.newID = func() string { return strings.ToLower(rand.Text()[:8]) }
	}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	warnings, err := q.load()
	return q, warnings, err
}

// Close releases all held requests and closes their dialogs. Pending requests stay in the
// file, where the next daemon finds them. After Close the file is no longer written.
func (q *Queue) Close() {
	q.closeOnce.Do(func() {
		q.mu.Lock()
		close(q.closing) // no dialog is started afterwards
		q.mu.Unlock()
		q.asking.Wait()
		q.save()
		q.writing.Lock()
		q.closed = true
		q.writing.Unlock()
	})
}

// Register returns the verdict on a request. If there is a desktop to ask, or the client
// wants to wait, the request is held for at most maxHold. The verdict is pending if
// nobody has answered. An approval is returned only once. The error is fault.RateLimited.
func (q *Queue) Register(ctx context.Context, req Request, wait time.Duration) (Verdict, error) {
	desktop := q.desktop(ctx)
	if desktop {
		wait = maxHold
	}
	e, v, err := q.open(req, wait > 0, false)
	if e == nil {
		return v, err
	}
	if wait > 0 {
		if desktop {
			q.ask(e, true)
		}
		q.hold(ctx, e, min(wait, maxHold), true)
	}
	return q.collect(ctx, e)
}

// Connect returns the verdict on a request of the page /connect. It never waits.
func (q *Queue) Connect(ctx context.Context, req Request) (Verdict, error) {
	desktop := q.desktop(ctx)
	e, v, err := q.open(req, false, true)
	if e == nil {
		return v, err
	}
	if desktop {
		q.ask(e, false)
	}
	return q.collect(ctx, e)
}

// Wait returns the state of a request once it is no longer pending, or after limit. It
// does not collect the answer.
func (q *Queue) Wait(ctx context.Context, id string, limit time.Duration) string {
	q.mu.Lock()
	q.prune()
	e := q.entries[id]
	if e != nil {
		e.holders++
	}
	q.mu.Unlock()
	if e == nil {
		return "unknown"
	}
	q.hold(ctx, e, limit, false)
	q.mu.Lock()
	defer q.mu.Unlock()
	return string(e.state)
}

// hold waits for the answer as one of the entry's holders. When the last holder leaves
// and dialog is set, it closes the dialog; the page /connect passes false, because it
// polls again soon.
func (q *Queue) hold(ctx context.Context, e *entry, limit time.Duration, dialog bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-e.answer:
	case <-timer.C:
	case <-ctx.Done():
	case <-q.closing:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.holders--; e.holders == 0 && e.state == pending && dialog {
		q.endDialog(e)
		e.expires = q.now().Add(approvable)
		q.dirty = true
	}
}

// open returns the verdict on a request if there is one, or else the entry to wait for,
// which it creates if needed. With hold, the entry has one more holder, until hold is
// called. reload is for the page /connect, which may be reloaded while its previous poll
// still waits.
func (q *Queue) open(req Request, hold, reload bool) (*entry, Verdict, error) {
	defer q.save()
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.prune()
	select {
	case <-q.closing:
		return nil, Verdict{}, &fault.Error{Kind: fault.RateLimited, Message: "the daemon is shutting down, ask again", RetryAfter: time.Second}
	default:
	}
	if wait := q.rates.charge(req.Origin, now); wait > 0 {
		return nil, Verdict{}, &fault.Error{Kind: fault.RateLimited, RetryAfter: wait,
			Message: fmt.Sprintf("%s has asked %d times within one minute", req.Origin, maxPerMinute)}
	}
	if g, ok := q.grants[req.Origin]; ok && req.Run == "" {
		if t, ok := g.terms(req, now); ok {
			return nil, Verdict{State: approved, Terms: t}, nil
		}
	}
	waiting := 0
	var own *entry
	for _, e := range q.entries {
		switch {
		case e.state != pending && e.req.sameAsk(req):
			return nil, q.take(e), nil
		case e.state != pending:
		case e.req.Origin == req.Origin:
			own = e
		default:
			waiting++
		}
	}
	if own != nil {
		same := own.req.sameAsk(req)
		if own.holders > 0 && !(same && reload) {
			return nil, Verdict{}, &fault.Error{Kind: fault.RateLimited, RetryAfter: 5 * time.Second,
				Message: fmt.Sprintf("another request of %s waits for an answer", req.Origin), Next: "hostless approvals"}
		}
		if same {
			own.expires = now.Add(approvable)
			q.dirty = true
			if hold {
				own.holders++
			}
			return own, Verdict{}, nil
		}
		q.withdraw(own)
	}
	if waiting >= maxWaiting {
		return nil, Verdict{}, &fault.Error{Kind: fault.RateLimited, RetryAfter: 30 * time.Second,
			Message: fmt.Sprintf("%d requests wait for an answer already", maxWaiting), Next: "hostless approvals"}
	}
	e := &entry{id: q.newID(), req: req, created: now, expires: now.Add(approvable), state: pending, answer: make(chan struct{})}
	if hold {
		e.holders = 1
	}
	q.entries[e.id] = e
	q.dirty = true
	q.log.Info("an app asks for a bridge token", "id", e.id, "origin", req.Origin, "process", req.Process)
	return e, Verdict{}, nil
}

// collect returns the verdict on an entry, unless the client has disconnected.
func (q *Queue) collect(ctx context.Context, e *entry) (Verdict, error) {
	q.mu.Lock()
	v := Verdict{State: e.state, ID: e.id}
	disconnected := ctx.Err() != nil
	if e.state != pending && !disconnected {
		v = q.take(e)
	}
	q.mu.Unlock()
	if v.State == withdrawn {
		return v, &fault.Error{Kind: fault.RateLimited, RetryAfter: 5 * time.Second, Message: fmt.Sprintf("it was replaced by another request of %s", e.req.Origin)}
	}
	if v.State != pending && !disconnected {
		q.save()
	}
	return v, ctx.Err()
}

// take removes an entry and returns its verdict. q.mu must be held.
func (q *Queue) take(e *entry) Verdict {
	delete(q.entries, e.id)
	q.dirty = true
	return Verdict{State: e.state, ID: e.id, Terms: e.terms}
}

// settle sets an entry's final state. q.mu must be held.
func (q *Queue) settle(e *entry, s state) {
	e.state = s
	q.dirty = true
	q.endDialog(e)
	close(e.answer)
}

func (q *Queue) withdraw(e *entry) {
	q.settle(e, withdrawn)
	delete(q.entries, e.id)
}

func (q *Queue) endDialog(e *entry) {
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// prune removes what has expired. q.mu must be held.
func (q *Queue) prune() {
	now := q.now()
	for id, e := range q.entries {
		switch {
		case e.state == pending && e.holders > 0, now.Before(e.expires):
		case e.state == pending:
			q.withdraw(e)
		default:
			delete(q.entries, id)
			q.dirty = true
		}
	}
	for origin, g := range q.grants {
		if g.expired(now) {
			delete(q.grants, origin)
			q.dirty = true
		}
	}
	q.rates.prune(now)
}

// Decide answers a request on behalf of the person. Errors are fault.NotFound, and
// fault.Invalid if the decision allows more than was asked for.
func (q *Queue) Decide(id string, d Decision) (Approval, Terms, error) {
	a, t, err := q.decide(id, d)
	if err != nil {
		return a, t, err
	}
	q.log.Info("an app's request was answered", "id", id, "origin", a.Origin, "approved", d.Approve)
	if err := q.write(); err != nil && (d.Remember > 0 || d.Forever) {
		return a, t, fmt.Errorf("remember the answer: %w", err)
	}
	return a, t, nil
}

func (q *Queue) decide(id string, d Decision) (Approval, Terms, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prune()
	e := q.entries[id]
	if e == nil || e.state != pending {
		return Approval{}, Terms{}, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no request %.32q waits for an answer", id), Next: "hostless approvals"}
	}
	now := q.now()
	if d.Approve {
		t, err := d.restrict(e.req)
		if err != nil {
			return Approval{}, t, err
		}
		e.terms = t
		if d.Remember > 0 || d.Forever {
			g := Grant{
				Origin: e.req.Origin, Asked: Terms{Scope: e.req.Scope, RateLimit: e.req.RateLimit}, Terms: t, CreatedAt: now,
			}
			if !d.Forever {
				g.ExpiresAt = now.Add(d.Remember)
			}
			q.grants[g.Origin] = g
		}
		q.settle(e, approved)
	} else {
		q.settle(e, denied)
	}
	e.expires = now.Add(approvable)
	return e.approval(), e.terms, nil
}

func (e *entry) approval() Approval {
	return Approval{ID: e.id, CreatedAt: e.created, ExpiresAt: e.expires, Request: e.req}
}

// Pending lists the pending requests, oldest first.
func (q *Queue) Pending() []Approval {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prune()
	out := []Approval{}
	for _, e := range q.entries {
		if e.state == pending {
			out = append(out, e.approval())
		}
	}
	slices.SortFunc(out, func(a, b Approval) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out
}

// Grants lists the remembered grants, sorted by origin.
func (q *Queue) Grants() []Grant {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prune()
	out := []Grant{}
	for _, g := range q.grants {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b Grant) int { return strings.Compare(a.Origin, b.Origin) })
	return out
}

// Forget removes the grant of an origin and its approved requests that have not been
// collected. It reports whether there was anything to remove.
func (q *Queue) Forget(origin string) (bool, error) {
	q.mu.Lock()
	_, found := q.grants[origin]
	delete(q.grants, origin)
	for id, e := range q.entries {
		if e.req.Origin == origin && e.state == approved {
			delete(q.entries, id)
			found = true
		}
	}
	q.dirty = q.dirty || found
	q.mu.Unlock()
	if !found {
		return false, nil
	}
	return true, q.write()
}

// save writes the file. A failure is only logged, because the state is in memory.
func (q *Queue) save() {
	if err := q.write(); err != nil {
		q.log.Error("cannot store the requests of apps", "error", err)
	}
}
