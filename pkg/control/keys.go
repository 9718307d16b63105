package control

import (
	"net/http"

	"github.com/hostless/hostless/pkg/fault"
)

func (s *Server) getKeys(w http.ResponseWriter, r *http.Request) {
	keys, err := s.keys.List(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, KeyList{Keys: append([]KeyInfo{}, keys...)})
}

func (s *Server) putKey(w http.ResponseWriter, r *http.Request) {
	var req KeyRequest
	err := decode(w, r, &req)
	if err == nil && !req.Key.IsZero() && req.Reference != "" {
		err = &fault.Error{Kind: fault.Invalid, Message: "give a key or a reference, not both", Param: "reference"}
	}
	if err == nil && req.NoKey && (!req.Key.IsZero() || req.Reference != "") {
		err = &fault.Error{Kind: fault.Invalid, Message: "no_key is for a provider without a key or reference", Param: "no_key"}
	}
	var stored KeyStored
	if err == nil {
		stored, err = s.keys.Put(r.Context(), r.PathValue("provider"), req)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	stored.Status = "stored"
	s.log.Info("provider key stored", "provider", stored.Provider, "label", stored.Label, "storage", stored.Storage)
	answer(w, stored)
}

func (s *Server) deleteKey(w http.ResponseWriter, r *http.Request) {
	provider, query := r.PathValue("provider"), r.URL.Query()
	removed := KeyRemoved{Status: "removed", Provider: provider, Label: query.Get("label")}
	labels, err := s.keys.Delete(r.Context(), provider, removed.Label, !query.Has("label"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if len(labels) == 1 {
		removed.Label = labels[0]
	} else {
		removed.Labels = labels
	}
	s.log.Info("provider keys removed", "provider", provider, "labels", labels)
	answer(w, removed)
}

func (s *Server) postMigrate(w http.ResponseWriter, r *http.Request) {
	var req MigrateRequest
	err := decode(w, r, &req)
	if req.To == "" {
		req.To = "keychain"
	}
	var out Migrated
	if err == nil {
		out, err = s.keys.Migrate(r.Context(), req)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out.Status, out.To, out.Keys = "migrated", req.To, append([]MigratedKey{}, out.Keys...)
	s.log.Info("provider keys moved", "to", req.To, "keys", len(out.Keys))
	answer(w, out)
}

func (s *Server) postUnlock(w http.ResponseWriter, r *http.Request) {
	var req UnlockRequest
	err := decode(w, r, &req)
	if err == nil {
		err = s.keys.Unlock(r.Context(), req)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, Outcome{Status: "unlocked"})
}

func (s *Server) postLock(w http.ResponseWriter, r *http.Request) {
	if err := s.keys.Lock(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, Outcome{Status: "locked"})
}

func (s *Server) getCommands(w http.ResponseWriter, r *http.Request) {
	commands, err := s.settings.Commands(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, CommandList{Commands: append([]Command{}, commands...)})
}

func (s *Server) putCommand(w http.ResponseWriter, r *http.Request) {
	var c Command
	err := decode(w, r, &c)
	c.Name = r.PathValue("name")
	if err == nil {
		err = s.settings.SetCommand(r.Context(), c)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("command declared", "name", c.Name)
	s.getCommands(w, r)
}

func (s *Server) deleteCommand(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if err := s.settings.RemoveCommand(r.Context(), name); err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("command removed", "name", name)
	s.getCommands(w, r)
}
