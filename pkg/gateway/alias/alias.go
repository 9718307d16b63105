// Package alias owns names of models that stand for other ones: which targets a name
// has, and when a call goes on from one target to the next.
//
// The table is pure; where aliases are kept is package config's concern. A name is
// looked up as the caller wrote it, before anything else knows it, so that an alias
// may have the name of a real model. Targets may be aliases themselves; within its
// own targets a name means the real model.
package alias

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Bounds of a table.
const (
	maxTargets = 16  // of one alias, others' targets included
	maxAliases = 512 // in all
	maxName    = 256 // bytes
)

// Table is a set of aliases, resolved. It is immutable; nil has none.
type Table struct {
	exact map[string][]string
	globs []glob // longest prefix first

	tokens map[string]*Table // the tables of tokens that have aliases of their own
}

type glob struct {
	prefix  string
	targets []string
}

// New makes a table of names and their targets, those of single tokens beside those of
// all; within a token's table its own come first. What Check refuses is left out and
// named by problems.
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

// For gives the aliases that hold for a token, by its shown prefix or else its name.
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
			problems = append(problems, fmt.Sprintf("the alias %.80q is left out: %s", name, fault.From(err).Message))
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

// Targets gives what a model's name stands for, best first; nil where it is no alias.
// An exact name counts before a pattern, a long pattern before a short one. Clients
// that mark a model's long context in its name (`fast[1m]`) mean the same alias.
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

// Names gives the aliases that are no patterns, sorted.
func (t *Table) Names() []string {
	if t == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(t.exact))
}

// Check reports whether an alias can join the others, or take its own place among
// them. The error is fault.Invalid, or fault.Conflict where it would go in a circle.
func Check(others map[string][]string, name string, targets []string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(targets) == 0 {
		return &fault.Error{Kind: fault.Invalid, Message: "an alias needs a model that it stands for", Param: "targets"}
	}
	for _, target := range targets {
		if err := checkText("the target", target, "targets"); err != nil {
			return err
		}
		if strings.Contains(target, "*") {
			return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the target %.80q is a pattern: only an alias may be one", target), Param: "targets"}
		}
	}
	if len(targets) == 1 && targets[0] == name {
		return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("%.80q would stand for itself", name), Param: "targets"}
	}
	all := maps.Clone(others)
	if all == nil {
		all = map[string][]string{}
	}
	all[name] = targets
	if len(all) > maxAliases {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("there are %d aliases already", maxAliases), Next: "hostless model unalias NAME"}
	}
	for other := range all {
		flat, err := flatten(all, other)
		if err != nil {
			return err
		}
		if len(flat) > maxTargets {
			return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%.80q would have more than %d targets", other, maxTargets), Param: "targets"}
		}
	}
	return nil
}

func checkName(name string) error {
	if err := checkText("the alias", name, "name"); err != nil {
		return err
	}
	if i := strings.IndexByte(name, '*'); i >= 0 && i != len(name)-1 || name == "*" {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the alias %.80q: a * may only end a pattern, behind a part of a name", name), Param: "name"}
	}
	return nil
}

// checkText refuses what cannot be a model's name in every dialect.
func checkText(what, text, param string) error {
	bad := func(why string) error {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s %.80q %s", what, text, why), Param: param}
	}
	switch {
	case text == "":
		return &fault.Error{Kind: fault.Invalid, Message: what + " has no name", Param: param}
	case len(text) > maxName:
		return bad(fmt.Sprintf("is longer than %d bytes", maxName))
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return bad("has blanks or characters that no model's name has")
	case strings.ContainsAny(text, `,?#"\`):
		return bad(`must not contain any of , ? # " \`)
	}
	for segment := range strings.SplitSeq(text, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return bad("has an empty part, . or .. between slashes")
		}
	}
	return nil
}

// flatten gives the models that an alias stands for, with the aliases among its
// targets resolved. The error is fault.Conflict for a circle.
func flatten(all map[string][]string, name string) (models []string, err error) {
	var add func(name string, path []string) error
	add = func(name string, path []string) error {
		for _, target := range all[name] {
			key := lookup(all, target)
			switch {
			case key == "" || key == name: // a real model, by its own name too
				if !slices.Contains(models, target) {
					models = append(models, target)
				}
			case slices.Contains(path, key):
				return &fault.Error{
					Kind: fault.Conflict, Param: "targets", Code: "alias_cycle",
					Message: fmt.Sprintf("aliases in a circle: %s → %s", strings.Join(path, " → "), key), Next: "hostless model list",
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

// lookup finds the alias that a name leads to, "" for none.
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
