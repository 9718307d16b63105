package config

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/hostless/hostless/pkg/fault"
)

// Command is a program that the user has declared for key references (cmd://NAME).
type Command struct {
	Argv     []string `json:"argv"`                // program and arguments, run without a shell
	CacheTTL int64    `json:"cache_ttl,omitempty"` // seconds; 0 means the default
}

// Commands returns the declared commands by name. It is never nil.
func (s *Settings) Commands() map[string]Command {
	out := maps.Clone(s.current.Load().commands)
	if out == nil {
		out = map[string]Command{}
	}
	return out
}

// Command returns a declared command.
func (s *Settings) Command(name string) (Command, bool) {
	c, ok := s.current.Load().commands[name]
	return c, ok && len(c.Argv) > 0
}

// SetCommand declares or replaces a command. When it returns, the change is on disk. The
// caller must validate the name.
func (s *Settings) SetCommand(name string, c Command) error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return &fault.Error{Kind: fault.Invalid, Message: "a command needs a program to run", Param: "argv"}
	}
	if c.CacheTTL < 0 || c.CacheTTL > 24*3600 {
		return &fault.Error{Kind: fault.Invalid, Message: "cache_ttl must be a number of seconds, at most a day", Param: "cache_ttl"}
	}
	return s.changeCommands(func(all map[string]json.RawMessage) error {
		all[name] = mustJSON(c)
		return nil
	})
}

// RemoveCommand removes a command. If there is none, the error is fault.NotFound.
func (s *Settings) RemoveCommand(name string) error {
	return s.changeCommands(func(all map[string]json.RawMessage) error {
		if _, ok := all[name]; !ok {
			return &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no command %.64q is declared", name), Next: "hostless command list", Param: "name"}
		}
		delete(all, name)
		return nil
	})
}

// changeCommands edits the member as it is in the file, so that unknown fields of a
// command are kept.
func (s *Settings) changeCommands(edit func(map[string]json.RawMessage) error) error {
	return s.change(func(_ *snapshot, members map[string]json.RawMessage) (bool, error) {
		all := map[string]json.RawMessage{}
		if raw, ok := members[memberCommands]; ok && json.Unmarshal(raw, &all) != nil {
			return false, fault.New(fault.Invalid, memberCommands+" in config.json is not an object: correct it first")
		}
		if all == nil {
			all = map[string]json.RawMessage{}
		}
		if err := edit(all); err != nil {
			return false, err
		}
		members[memberCommands] = mustJSON(all)
		return true, nil
	})
}
