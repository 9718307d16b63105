package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hostless/hostless/pkg/fault"
)

// tokenAliases are the aliases of single tokens: token → name → targets.
type tokenAliases map[string]map[string][]string

// ModelAliases are the names that stand for other models, each with its targets. Never
// nil; nobody changes the map.
func (s *Settings) ModelAliases() map[string][]string { return s.current.Load().aliases }

// TokenModelAliases are the names that stand for other models with one token alone, by
// the token's shown prefix or its name. Never nil; nobody changes the maps.
func (s *Settings) TokenModelAliases() map[string]map[string][]string {
	return s.current.Load().tokenAliases
}

// SetModelAlias sets what a name stands for, with one token or, where that is "", with
// all, in place of what it stood for before. check is given the other aliases that hold
// there, and may refuse. It is on disk when SetModelAlias returns; what is so already is
// not written again.
func (s *Settings) SetModelAlias(token, name string, targets []string, check func(others map[string][]string) error) error {
	return s.changeAliases(token, func(all, own map[string][]string) (bool, error) {
		others := maps.Clone(all)
		maps.Copy(others, own)
		delete(others, name)
		if err := check(others); err != nil {
			return false, err
		}
		if old, ok := own[name]; ok && slices.Equal(old, targets) {
			return false, nil
		}
		own[name] = targets
		return true, nil
	})
}

// RemoveModelAlias takes an alias away, of one token where that is not ""; none is
// fault.NotFound.
func (s *Settings) RemoveModelAlias(token, name string) error {
	return s.changeAliases(token, func(_, own map[string][]string) (bool, error) {
		if _, ok := own[name]; !ok {
			whose := ""
			if token != "" {
				whose = fmt.Sprintf(" of the token %.80q", token)
			}
			return false, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("there is no alias %.80q%s", name, whose), Next: "hostless model list", Param: "name"}
		}
		delete(own, name)
		return true, nil
	})
}

// changeAliases edits a token's own aliases, or those of all, as they stand in the file.
func (s *Settings) changeAliases(token string, edit func(all, own map[string][]string) (bool, error)) error {
	return s.change(func(_ *snapshot, members map[string]json.RawMessage) (bool, error) {
		all, err := objectMember[map[string][]string](members, memberAliases, "an object of lists")
		if err != nil {
			return false, err
		}
		if all == nil {
			all = map[string][]string{}
		}
		if token == "" {
			changed, err := edit(all, all)
			if changed && err == nil {
				putObject(members, memberAliases, all)
			}
			return changed, err
		}
		tokens, err := objectMember[tokenAliases](members, memberTokenAliases, "an object of objects of lists")
		if err != nil {
			return false, err
		}
		if tokens == nil {
			tokens = tokenAliases{}
		}
		if tokens[token] == nil {
			tokens[token] = map[string][]string{}
		}
		changed, err := edit(all, tokens[token])
		if changed && err == nil {
			if len(tokens[token]) == 0 {
				delete(tokens, token)
			}
			putObject(members, memberTokenAliases, tokens)
		}
		return changed, err
	})
}

// objectMember reads a member as it stands in the file.
func objectMember[T any](members map[string]json.RawMessage, name, shape string) (value T, err error) {
	if raw, ok := members[name]; ok && json.Unmarshal(raw, &value) != nil {
		return value, fault.New(fault.Invalid, name+" in config.json is not "+shape+": correct it first")
	}
	return value, nil
}

// putObject writes a member, or drops an empty one.
func putObject[K comparable, V any](members map[string]json.RawMessage, name string, value map[K]V) {
	if members[name] = mustJSON(value); len(value) == 0 {
		delete(members, name)
	}
}
