package dialect_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/dialect"
)

func TestPair(t *testing.T) {
	calls := func(ids ...string) (turn dialect.Turn) {
		for _, id := range ids {
			turn.Calls = append(turn.Calls, dialect.ToolRef{ID: id, Name: "f"})
		}
		return turn
	}
	result := func(id string) dialect.Turn { return dialect.Turn{Result: true, Of: dialect.ToolRef{ID: id}} }
	other := dialect.Turn{}
	type placed = dialect.Placed
	of := func(turn int, id string) placed {
		return placed{Turn: turn, Result: true, Call: dialect.ToolRef{ID: id, Name: "f"}}
	}
	at := func(turn int) placed { return placed{Turn: turn} }
	for name, c := range map[string]struct {
		in       []dialect.Turn
		want     []placed
		repaired bool
	}{
		"in order":              {in: []dialect.Turn{other, calls("a", "b"), result("a"), result("b"), other}, want: []placed{at(0), at(1), of(2, "a"), of(3, "b"), at(4)}},
		"results in any order":  {in: []dialect.Turn{calls("a", "b"), result("b"), result("a")}, want: []placed{at(0), of(2, "a"), of(1, "b")}},
		"interrupted":           {in: []dialect.Turn{calls("a", "b"), result("b"), other}, want: []placed{at(0), of(-1, "a"), of(1, "b"), at(2)}},
		"late":                  {in: []dialect.Turn{calls("a"), other, result("a")}, want: []placed{at(0), of(2, "a"), at(1)}},
		"last":                  {in: []dialect.Turn{other, calls("a")}, want: []placed{at(0), at(1), of(-1, "a")}},
		"of no call":            {in: []dialect.Turn{result("a"), calls("b"), result("b"), result("b")}, want: []placed{at(0), at(1), of(2, "b"), at(3)}},
		"twice in a turn":       {in: []dialect.Turn{calls("a", "a"), result("a"), result("a")}, want: []placed{at(0), of(1, "a"), of(2, "a_2")}, repaired: true},
		"twice in a history":    {in: []dialect.Turn{calls("a"), result("a"), calls("a"), result("a")}, want: []placed{at(0), of(1, "a"), at(2), of(3, "a_2")}, repaired: true},
		"without ids":           {in: []dialect.Turn{calls("", ""), {Result: true}, {Result: true, Of: dialect.ToolRef{Name: "f"}}}, want: []placed{at(0), of(1, "call_1"), of(2, "call_2")}},
		"in neighbouring turns": {in: []dialect.Turn{calls("a"), calls("b"), result("a"), result("b")}, want: []placed{at(0), of(2, "a"), at(1), of(3, "b")}},
		"not beyond more calls": {in: []dialect.Turn{calls("a"), other, calls("b"), result("b"), result("a")}, want: []placed{at(0), of(-1, "a"), at(1), at(2), of(3, "b"), at(4)}},
	} {
		got, repaired := dialect.Pair(c.in)
		if diff := cmp.Diff(c.want, got); diff != "" || repaired != c.repaired {
			t.Errorf("%s: repaired %v (-want +got):\n%s", name, repaired, diff)
		}
	}
}
