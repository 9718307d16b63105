package daemon

import "github.com/hostless/hostless/pkg/audit"

// auditLog is the audit log as the control server needs it: whatever a person typed
// in a wrong place, no key is written down.
type auditLog struct {
	*audit.Log
	redact func(string) string
}

// Append implements control.Audit.
func (a auditLog) Append(e audit.Entry) error {
	e.Action, e.Target = a.redact(e.Action), a.redact(e.Target)
	return a.Log.Append(e)
}
