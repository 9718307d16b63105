package daemon

import (
	"context"
	"log/slog"

	"github.com/hostless/hostless/pkg/budget"
)

// openBudgets reads the budgets and the switch for all AI traffic.
func (d *daemon) openBudgets(log *slog.Logger) (err error) {
	d.killer = budget.NewSwitch(d.cfg.Paths.Killed(), nil)
	d.budgets, err = budget.New(budget.Config{
		Path: d.cfg.Paths.Budgets(), Requests: d.cfg.Paths.Requests(), Prices: d.prices.book.Load, Refuse: d.settings.RefuseUnpriced,
		Redact: d.redactor.String, Logger: log,
	})
	return err
}

// controlSwitch is the switch as the control server needs it.
type controlSwitch struct{ *daemon }

// Kill stops all AI traffic, and ends what is in flight.
func (c controlSwitch) Kill(context.Context) error {
	err := c.killer.Kill()
	c.gateway.End(budget.Killed())
	return err
}

// Unkill lets it go on.
func (c controlSwitch) Unkill(context.Context) error { return c.killer.Unkill() }
