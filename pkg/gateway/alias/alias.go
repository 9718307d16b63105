// Package alias implements aliases: names that stand for one or more models. It resolves
// the targets of a name, and decides when a call moves on from one target to the next.
//
// The table is pure; package config stores the aliases. A name is looked up as the caller
// sent it, before any other routing, so an alias may have the name of a real model. Targets
// may be aliases too; inside its own targets, the name of an alias means the real model.
package alias

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Limits of a table.
const (
	maxTargets = 16  // of one alias, including those of nested aliases
	maxAliases = 512 // in total
	maxName    = 256 // bytes
)

// Table is a resolved set of aliases. It is immutable. A nil *Table has no aliases.
type Table struct {
	exact map[string][]string
	globs []glob // longest prefix first

	tokens map[string]*Table // tables of tokens with aliases of their own, by token prefix or name
}

type glob struct {
	prefix  string
	targets []string
}

// New builds a table from the general aliases and those of single tokens. In the table of a
// token, its own aliases take precedence. Aliases that Check refuses are left out; problems
// describes them.
func New(aliases map[string][]string, tokens map[string]map[string][]string) (t *Table, problems []string) {
	if len(aliases) == 0 && len(tokens) == 0 {
		return nil, nil
	}
	t, problems = newTable(aliases)
	for _, token := range slices.Sorted(maps.Keys(tokens)) {
		merged := maps.Clone(aliases)
		if merged == nil {
			merged = map[string][]string{}
		}
		maps.Copy(merged, tokens[token])
		own, found := newTable(merged)
		if t.tokens == nil {
			t.tokens = map[string]*Table{}
		}
		t.tokens[token] = own
		for _, problem := range found {
			if !slices.Contains(problems, problem) {
				problems = append(problems, problem+fmt.Sprintf(" (token %.80q)", token))
			}
		}
	}
	return t, problems
}

// For returns the aliases for a token, given its shown prefix and its name. The prefix
// takes precedence.
func (t *Table) For(prefix, name string) *Table {
	if t == nil || t.tokens == nil {
		return t
	}
	if own := t.tokens[prefix]; own != nil {
		return own
	}
	if own := t.tokens[name]; own != nil && name != "" {
		return own
	}
	return t
}

func newTable(aliases map[string][]string) (t *Table, problems []string) {
	good := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		if err := Check(good, name, aliases[name]); err != nil {
			problems = append(problems, fmt.Sprintf("alias %.80q is ignored: %s", name, fault.From(err).Message))
			continue
		}
		good[name] = aliases[name]
	}
	t = &Table{exact: map[string][]string{}}
	for name := range good {
		targets, _ := flatten(good, name)
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			t.globs = append(t.globs, glob{prefix, targets})
		} else {
			t.exact[name] = targets
		}
	}
	slices.SortFunc(t.globs, func(a, b glob) int { return len(b.prefix) - len(a.prefix) })
	return t, problems
}

// Targets returns the models that a name stands for, best first, or nil if it is no alias.
// An exact name takes precedence over a pattern, and a longer pattern over a shorter one. A
// suffix that marks a long context (`fast[1m]`) is ignored.
func (t *Table) Targets(model string) []string {
	if t == nil {
		return nil
	}
	if targets := t.find(model); targets != nil {
		return targets
	}
	if plain, ok := strings.CutSuffix(model, "[1m]"); ok {
		return t.find(plain)
	}
	return nil
}

func (t *Table) find(model string) []string {
	if targets := t.exact[model]; targets != nil {
		return targets
	}
	for i := range t.globs {
		if strings.HasPrefix(model, t.globs[i].prefix) {
			return t.globs[i].targets
		}
	}
	return nil
}

// Names returns the aliases that are not patterns, sorted.
func (t *Table) Names() []string {
	if t == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(t.exact))
}

// Check reports whether an alias can be added to the others, or replace one of them. The
// error is fault.Invalid, or fault.Conflict for a cycle.
func Check(others map[string][]string, name string, targets []string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(targets) == 0 {
		return &fault.Error{Kind: fault.Invalid, Message: "an alias needs at least one target", Param: "targets"}
	}
	for _, target := range targets {
		if err := checkText("the target", target, "targets"); err != nil {
			return err
		}
		if strings.Contains(target, "*") {
			return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the target %.80q is a pattern: only the name of an alias may end with *", target), Param: "targets"}
		}
	}
	if len(targets) == 1 && targets[0] == name {
		return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("the alias %.80q refers to itself", name), Param: "targets"}
	}
	all := maps.Clone(others)
	if all == nil {
		all = map[string][]string{}
	}
	all[name] = targets
	if len(all) > maxAliases {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("there are already %d aliases", maxAliases), Next: "hostless model unalias NAME"}
	}
	for other := range all {
		flat, err := flatten(all, other)
		if err != nil {
			return err
		}
		if len(flat) > maxTargets {
			return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the alias %.80q would have more than %d targets", other, maxTargets), Param: "targets"}
		}
	}
	return nil
}

func checkName(name string) error {
	if err := checkText("the alias", name, "name"); err != nil {
		return err
	}
	if i := strings.IndexByte(name, '*'); i >= 0 && i != len(name)-1 || name == "*" {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the alias %.80q is invalid: * is allowed only at the end, after at least one character", name), Param: "name"}
	}
	return nil
}

// checkText returns an error if text cannot be the name of a model in every dialect.
func checkText(what, text, param string) error {
	bad := func(why string) error {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s %.80q %s", what, text, why), Param: param}
	}
	switch {
	case text == "":
		return &fault.Error{Kind: fault.Invalid, Message: what + " is empty", Param: param}
	case len(text) > maxName:
		return bad(fmt.Sprintf("is longer than %d bytes", maxName))
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return bad("contains spaces or characters outside of printable ASCII")
	case strings.ContainsAny(text, `,?#"\`):
		return bad(`must not contain any of , ? # " \`)
	}
	for segment := range strings.SplitSeq(text, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return bad("has an empty segment, or . or .. as a segment")
		}
	}
	return nil
}

// flatten returns the models that an alias stands for, with nested aliases resolved. The
// error is fault.Conflict for a cycle.
func flatten(all map[string][]string, name string) (models []string, err error) {
	var add func(name string, path []string) error
	add = func(name string, path []string) error {
		for _, target := range all[name] {
			key := lookup(all, target)
			switch {
			case key == "" || key == name: // a real model; also one with the name of this alias
				if !slices.Contains(models, target) {
					models = append(models, target)
				}
			case slices.Contains(path, key):
				return &fault.Error{
					Kind: fault.Conflict, Param: "targets", Code: "alias_cycle",
					Message: fmt.Sprintf("the aliases form a cycle: %s → %s", strings.Join(path, " → "), key), Next: "hostless model list",
				}
			default:
				if err := add(key, append(path[:len(path):len(path)], key)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return models, add(name, []string{name})
}

// lookup returns the alias that matches a name, or "".
func lookup(all map[string][]string, model string) string {
	if _, ok := all[model]; ok {
		return model
	}
	found := ""
	for name := range all {
		if prefix, ok := strings.CutSuffix(name, "*"); ok && strings.HasPrefix(model, prefix) && len(name) > len(found) {
			found = name
		}
	}
	return found
}
