package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hostless/hostless/pkg/fault"
)

// tokenAliases are the aliases of individual tokens: token → name → targets.
type tokenAliases map[string]map[string][]string

// ModelAliases returns the model aliases, each with its targets. It is never nil; callers
// must not modify the map.
func (s *Settings) ModelAliases() map[string][]string { return s.current.Load().aliases }

// TokenModelAliases returns the model aliases that apply to a single token, by the
// token's shown prefix or name. It is never nil; callers must not modify the maps.
func (s *Settings) TokenModelAliases() map[string]map[string][]string {
	return s.current.Load().tokenAliases
}

// SetModelAlias sets or replaces an alias: for one token, or for all if token is "".
// check gets the other aliases that apply there, and may return an error. When
// SetModelAlias returns, the change is on disk. If nothing changes, nothing is written.
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

// RemoveModelAlias removes an alias: of one token, or of all if token is "". If there is
// none, the error is fault.NotFound.
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

// changeAliases edits a token's aliases, or those for all tokens, as they are in the
// file.
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

// objectMember decodes a member as it is in the file.
func objectMember[T any](members map[string]json.RawMessage, name, shape string) (value T, err error) {
	if raw, ok := members[name]; ok && json.Unmarshal(raw, &value) != nil {
		return value, fault.New(fault.Invalid, name+" in config.json is not "+shape+": correct it first")
	}
	return value, nil
}

// putObject stores a member, or removes it if value is empty.
func putObject[K comparable, V any](members map[string]json.RawMessage, name string, value map[K]V) {
	if members[name] = mustJSON(value); len(value) == 0 {
		delete(members, name)
	}
}
