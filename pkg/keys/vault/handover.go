package vault

import "github.com/hostless/hostless/pkg/fault"

// Handover is what a vault knows in memory alone, for a successor of the daemon:
// it crosses a socket between the two processes and is never written.
type Handover struct {
	KEK    []byte `json:"kek,omitempty"`    // of an open vault
	Locked bool   `json:"locked,omitempty"` // a person has locked it
}

// Handover tells what a successor would have to ask a person for.
func (v *Vault) Handover() Handover {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := Handover{Locked: v.byPerson}
	if v.open != nil {
		h.KEK = v.open.kek
	}
	return h
}

// Resume takes over from a predecessor, before Open: a vault that was open is
// open again without asking, one that a person locked stays locked. A KEK that
// is not this vault's is fault.Locked, and the vault is opened as at any start.
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
