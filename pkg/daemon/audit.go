package daemon

import "github.com/hostless/hostless/pkg/audit"

// auditLog adapts the audit log to control.Audit. It redacts keys that the user has typed in
// a wrong place.
type auditLog struct {
	*audit.Log
	redact func(string) string
}

// Append implements control.Audit.
func (a auditLog) Append(e audit.Entry) error {
	e.Action, e.Target = a.redact(e.Action), a.redact(e.Target)
	return a.Log.Append(e)
}
