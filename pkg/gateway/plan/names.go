package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// maxModelName limits the length of a model name, which appears in headers, counters and
// messages.
const maxModelName = 512

// CheckModelName refuses names that would change the meaning of a URL, since some providers
// have the model in the path: with a path traversal, a query or a fragment.
func CheckModelName(model string) error {
	bad := func(why string) error {
		return &fault.Error{Kind: fault.Invalid, Message: "model " + why, Param: "model"}
	}
	if len(model) > maxModelName {
		return bad(fmt.Sprintf("is longer than %d bytes", maxModelName))
	}
	for i := range len(model) {
		switch c := model[i]; {
		case c == '?' || c == '#':
			return bad("must not contain ? or #")
		case c < ' ' || c == 0x7f:
			return bad("must not contain control characters")
		}
	}
	if strings.IndexByte(model, '.') >= 0 {
		for segment := range strings.FieldsFuncSeq(model, func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment == "." || segment == ".." {
				return bad("must not contain . or .. as a path segment")
			}
		}
	}
	return nil
}

// unknownPrefix returns the error for a model whose prefix is not the name of a provider.
func (p *Planner) unknownPrefix(prefix string) error {
	f := &fault.Error{
		Kind: fault.Invalid, Param: "model", Code: "unknown_provider",
		Message: fmt.Sprintf("no provider is named %q", respond.HeaderSafe(prefix)),
	}
	stored, err := p.cfg.Keys.Stored()
	if err != nil {
		return err
	}
	if near := nearNames(strings.ToLower(prefix), stored); len(near) > 0 {
		f.Message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	f.Next = "hostless keys list"
	return f
}

// nearNames returns the providers, of the catalogue and stored ones, that name may be a
// misspelling of: at most three, nearest first.
func nearNames(name string, stored []string) []string {
	type near struct {
		name     string
		distance int
	}
	var found []near
	try := func(as, provider string) {
		d := editDistance(name, as)
		if strings.HasPrefix(as, name) && len(name) >= 3 {
			d = min(d, 2)
		}
		if d > 2 || d >= len(name) {
			return
		}
		for i := range found {
			if found[i].name == provider {
				found[i].distance = min(found[i].distance, d)
				return
			}
		}
		found = append(found, near{provider, d})
	}
	for _, p := range catalogue().All() {
		try(p.Name, p.Name)
		for _, alias := range p.Aliases {
			try(alias, p.Name)
		}
	}
	for _, custom := range stored {
		try(custom, custom)
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.distance - b.distance })
	var names []string
	for _, n := range found[:min(len(found), 3)] {
		names = append(names, n.name)
	}
	return names
}

// editDistance returns the Levenshtein distance between a and b in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
