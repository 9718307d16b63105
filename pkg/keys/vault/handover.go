package vault

import "github.com/hostless/hostless/pkg/fault"

// Handover is the in-memory state of a vault that the daemon passes to its successor over
// a socket. It is never written to disk.
type Handover struct {
	KEK    []byte `json:"kek,omitempty"`    // only of an open vault
	Locked bool   `json:"locked,omitempty"` // locked by the user
}

// Handover returns the state that the successor could otherwise only get from the user.
func (v *Vault) Handover() Handover {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := Handover{Locked: v.byPerson}
	if v.open != nil {
		h.KEK = v.open.kek
	}
	return h
}

// Resume restores a predecessor's state. It must be called before Open. An open vault is
// open again without a prompt; a vault that the user locked stays locked. If the KEK is
// not this vault's, the error is fault.Locked, and Open works as usual.
func (v *Vault) Resume(h Handover) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case h.Locked:
		v.byPerson, v.reason = true, errByPerson
	case h.KEK != nil && v.file != nil:
		if err := v.openWith(h.KEK); err != nil {
			return &fault.Error{Kind: fault.Locked, Message: "the key vault is not the one that was open before the restart", Err: err}
		}
	}
	return nil
}
