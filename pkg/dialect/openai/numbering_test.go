package openai_test

import (
	"slices"
	"testing"

	"github.com/hostless/hostless/pkg/dialect/openai"
)

func TestNumbering(t *testing.T) {
	type piece struct {
		index    int // -1 for none
		id, name string
	}
	for _, tt := range []struct {
		name   string
		pieces []piece
		want   []int
	}{
		{"from 0", []piece{{0, "a", "f"}, {0, "", ""}, {1, "b", "g"}, {0, "", ""}, {1, "", ""}}, []int{0, 0, 1, 0, 1}},
		{"from 1, with gaps", []piece{{1, "a", "f"}, {1, "", ""}, {5, "b", "g"}, {5, "", ""}, {1, "", ""}}, []int{0, 0, 1, 1, 0}},
		{"all 0", []piece{{0, "a", "f"}, {0, "b", "f"}, {0, "", ""}}, []int{0, 1, 1}},
		{"the id in each piece", []piece{{0, "a", "f"}, {0, "a", "f"}, {0, "a", ""}}, []int{0, 0, 0}},
		{"the id later", []piece{{0, "", "f"}, {0, "a", ""}, {0, "b", "g"}}, []int{0, 0, 1}},
		{"no numbers", []piece{{-1, "a", "f"}, {-1, "", ""}, {-1, "b", "g"}}, []int{0, 0, 1}},
		{"no numbers and no ids", []piece{{-1, "", "f"}, {-1, "", "g"}}, []int{0, 1}},
		{"nothing to go on", []piece{{-1, "", ""}}, []int{0}},
	} {
		var n openai.Numbering
		var got []int
		for _, p := range tt.pieces {
			index := &p.index
			if p.index < 0 {
				index = nil
			}
			got = append(got, n.Place(index, p.id, p.name))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
