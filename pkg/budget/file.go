package budget

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// unusable describes a budgets.json that cannot be read or is invalid. As long as it is
// there, all calls to providers are refused, because their limits are unknown.
type unusable struct {
	path    string
	why     error
	checked time.Time
}

// checkEvery is how often an unusable budgets.json is read again.
const checkEvery = time.Second

// fault returns the error for clients and for people.
func (u *unusable) fault(kind fault.Kind) *fault.Error {
	return &fault.Error{
		Kind:    kind,
		Message: fmt.Sprintf("%s cannot be used (%v), so all AI requests are refused: correct or remove the file, or set budgets again", u.path, u.why),
		Next:    "hostless budget set AMOUNT/PERIOD",
	}
}

// read reads budgets.json. The error says why it cannot be used; then nothing has changed.
// r.mu must not be held.
func (r *Room) read() error {
	data, _, err := config.ReadPrivate(r.cfg.Path)
	var s stored
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Next = 1
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
	}
	return r.use(s)
}

// use replaces the budgets by stored ones. After an error nothing has changed. r.mu must
// not be held.
func (r *Room) use(s stored) error {
	budgets, err := made(s.Budgets)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(budgets, s.Next)
	return nil
}

// open reads budgets.json when the room is created.
func (r *Room) open() {
	if err := r.read(); err != nil {
		r.bad.Store(&unusable{r.cfg.Path, err, r.cfg.Now()})
		r.cfg.Logger.Error("cannot use budgets.json: AI requests are refused", "error", err)
	}
}

// unreadable returns what is wrong with budgets.json, or nil. It reads an unusable file
// again every checkEvery.
func (r *Room) unreadable() *unusable {
	if r.bad.Load() == nil {
		return nil
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	bad, now := r.bad.Load(), r.cfg.Now()
	if bad == nil || now.Sub(bad.checked) < checkEvery {
		return bad
	}
	if err := r.read(); err != nil {
		bad = &unusable{r.cfg.Path, err, now}
		r.bad.Store(bad)
		return bad
	}
	r.bad.Store(nil)
	r.cfg.Logger.Info("budgets.json can be used again")
	return nil
}

// refuseAll returns the error of a call while budgets.json is unusable.
func (r *Room) refuseAll(call *pipeline.Call) error {
	bad := r.unreadable()
	if bad == nil {
		return nil
	}
	err := bad.fault(kindFor(fault.Spent, call.Dialect))
	err.Code, err.NoRetry = pipeline.CodeBudgetExceeded, true
	return err
}

// keepAside copies an unusable budgets.json before it is replaced: with the file gone and
// no new one written, no budget would apply. r.changing must be held.
func (r *Room) keepAside() error {
	if r.bad.Load() == nil {
		return nil
	}
	kept, err := config.CopyAside(r.cfg.Path, r.cfg.Now())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, "budgets.json could not be used and was kept as "+kept+": its budgets do not apply any more")
	return nil
}
