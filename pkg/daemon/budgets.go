package daemon

import (
	"context"
	"log/slog"

	"github.com/hostless/hostless/pkg/budget"
)

// openBudgets reads the budgets and the kill switch. held are the reservations of
// predecessors' requests.
func (d *daemon) openBudgets(log *slog.Logger, held []budget.Held) (err error) {
	d.killer = budget.NewSwitch(d.cfg.Paths.Killed(), nil)
	d.budgets, err = budget.New(budget.Config{
		Path: d.cfg.Paths.Budgets(), Requests: d.cfg.Paths.Requests(), Prices: d.prices.book.Load, Refuse: d.settings.RefuseUnpriced,
		Redact: d.redactor.String, Logger: log, Held: held,
	})
	if err == nil {
		d.budgets.OnChange(func(data []byte) { go d.notifyPredecessors(handoverMessage{Budgets: data}) })
	}
	return err
}

// controlSwitch adapts the kill switch to control.Switch.
type controlSwitch struct{ *daemon }

// Kill stops all AI traffic and ends the requests in flight, here and in predecessors.
func (c controlSwitch) Kill(context.Context) error {
	err := c.killer.Kill()
	c.setKilled(true)
	killed := true
	c.notifyPredecessors(handoverMessage{Killed: &killed})
	return err
}

// Unkill allows AI traffic again.
func (c controlSwitch) Unkill(context.Context) error {
	if err := c.killer.Unkill(); err != nil {
		return err
	}
	var killed bool
	c.notifyPredecessors(handoverMessage{Killed: &killed})
	return nil
}

// setKilled stops or allows the AI traffic of this process.
func (d *daemon) setKilled(killed bool) {
	d.killer.Set(killed)
	if killed {
		d.gateway.End(budget.Killed(""))
	}
}

// notifyPredecessors sends a change to the daemons that may still serve requests.
func (d *daemon) notifyPredecessors(m handoverMessage) {
	for _, p := range d.predecessors.all() {
		_ = p.send(m) // a predecessor that has ended needs no message
	}
}

// followPredecessors counts the requests that predecessors still accept, until the last one
// has ended.
func (d *daemon) followPredecessors(ctx context.Context) {
	ctx, ended := context.WithCancel(ctx)
	share := d.shareReservations(ctx)
	d.predecessors.forgetEnded(func(m handoverMessage) {
		if m.Charged != "" {
			d.tokens.ChargeHash(m.Charged)
		}
		d.budgets.Import(m.Held...)
		for _, h := range m.Held {
			share(h) // there may be several predecessors
		}
	}, func() {
		d.recoverRows() // of one that was killed
		ended()
	})
	go func() { // ends with the predecessors, or with this process
		d.budgets.Follow(ctx)
		d.budgets.Forget()
	}()
}

// shareReservations sends the budget reservations of this daemon's requests to its
// predecessors until ctx ends, because WebSockets that they still serve use the same budgets.
// The returned function sends another daemon's reservation.
func (d *daemon) shareReservations(ctx context.Context) func(budget.Held) {
	queue := make(chan budget.Held, lateCharges)
	share := func(h budget.Held) {
		if ctx.Err() != nil {
			return
		}
		select {
		case queue <- h:
		default: // the predecessors do not read; their sessions end soon
		}
	}
	d.budgets.OnHold(share)
	go func() { // ends with the predecessors, or with this process
		for {
			select {
			case h := <-queue:
				d.notifyPredecessors(handoverMessage{Held: []budget.Held{h}})
			case <-ctx.Done():
				return
			}
		}
	}()
	return share
}
