package daemon

import (
	"context"
	"log/slog"

	"github.com/hostless/hostless/pkg/budget"
)

// openBudgets reads the budgets and the switch for all AI traffic. held is what calls of
// predecessors hold.
func (d *daemon) openBudgets(log *slog.Logger, held []budget.Held) (err error) {
	d.killer = budget.NewSwitch(d.cfg.Paths.Killed(), nil)
	d.budgets, err = budget.New(budget.Config{
		Path: d.cfg.Paths.Budgets(), Requests: d.cfg.Paths.Requests(), Prices: d.prices.book.Load, Refuse: d.settings.RefuseUnpriced,
		Redact: d.redactor.String, Logger: log, Held: held,
	})
	if err == nil {
		d.budgets.OnChange(func(data []byte) { go d.tellPredecessors(handoverMessage{Budgets: data}) })
	}
	return err
}

// controlSwitch is the switch as the control server needs it.
type controlSwitch struct{ *daemon }

// Kill stops all AI traffic, and ends what is in flight, here and in predecessors.
func (c controlSwitch) Kill(context.Context) error {
	err := c.killer.Kill()
	c.setKilled(true)
	killed := true
	c.tellPredecessors(handoverMessage{Killed: &killed})
	return err
}

// Unkill lets it go on.
func (c controlSwitch) Unkill(context.Context) error {
	if err := c.killer.Unkill(); err != nil {
		return err
	}
	var killed bool
	c.tellPredecessors(handoverMessage{Killed: &killed})
	return nil
}

// setKilled stops the traffic of this process, or lets it go on.
func (d *daemon) setKilled(killed bool) {
	d.killer.Set(killed)
	if killed {
		d.gateway.End(budget.Killed(""))
	}
}

// tellPredecessors passes a change on to the daemons that may still be answering.
func (d *daemon) tellPredecessors(m handoverMessage) {
	for _, p := range d.predecessors.all() {
		_ = p.send(m) // one that has ended needs no message
	}
}

// followPredecessors takes into account what the daemons before this one still take,
// until the last one has ended.
func (d *daemon) followPredecessors(ctx context.Context) {
	ctx, ended := context.WithCancel(ctx)
	d.predecessors.forgetEnded(func(m handoverMessage) {
		if m.Charged != "" {
			d.tokens.ChargeHash(m.Charged)
		}
		d.budgets.Import(m.Held...)
	}, func() {
		d.recoverRows() // of one that was killed
		ended()
	})
	go func() { // ends with them, or with this process
		d.budgets.Follow(ctx)
		d.budgets.Forget()
	}()
}
