package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hostless/hostless/pkg/fault"
)

// ModelAliases are the names that stand for other models, each with its targets. Never
// nil; nobody changes the map.
func (s *Settings) ModelAliases() map[string][]string { return s.current.Load().aliases }

// SetModelAlias sets what a name stands for, in place of what it stood for before.
// check is given the other aliases, and may refuse. It is on disk when SetModelAlias
// returns; what is so already is not written again.
func (s *Settings) SetModelAlias(name string, targets []string, check func(others map[string][]string) error) error {
	return s.changeAliases(func(all map[string][]string) (bool, error) {
		others := maps.Clone(all)
		delete(others, name)
		if err := check(others); err != nil {
			return false, err
		}
		if old, ok := all[name]; ok && slices.Equal(old, targets) {
			return false, nil
		}
		all[name] = targets
		return true, nil
	})
}

// RemoveModelAlias takes an alias away; none is fault.NotFound.
func (s *Settings) RemoveModelAlias(name string) error {
	return s.changeAliases(func(all map[string][]string) (bool, error) {
		if _, ok := all[name]; !ok {
			return false, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("there is no alias %.80q", name), Next: "hostless model list", Param: "name"}
		}
		delete(all, name)
		return true, nil
	})
}

func (s *Settings) changeAliases(edit func(all map[string][]string) (bool, error)) error {
	return s.change(func(_ *snapshot, members map[string]json.RawMessage) (bool, error) {
		all := map[string][]string{}
		if raw, ok := members[memberAliases]; ok && json.Unmarshal(raw, &all) != nil {
			return false, fault.New(fault.Invalid, memberAliases+" in config.json is not an object of lists: correct it first")
		}
		if all == nil {
			all = map[string][]string{}
		}
		changed, err := edit(all)
		if changed && err == nil {
			members[memberAliases] = mustJSON(all)
			if len(all) == 0 {
				delete(members, memberAliases)
			}
		}
		return changed, err
	})
}
