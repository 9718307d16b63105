package openai

// Numbering finds the tool call that a piece belongs to. Providers number calls
// from 0, from 1 or with gaps, number all of them 0 and distinguish them by their
// ids, or do not number them. The zero value is ready to use.
type Numbering struct {
	at  map[int]int // position by index
	ids []string    // by position
}

// Place returns the position of a piece's call, in the order in which calls began.
func (n *Numbering) Place(index *int, id, name string) int {
	last := len(n.ids) - 1
	switch {
	case index == nil && last >= 0 && id == "" && name == "":
		return last // it can only continue the last call
	case index != nil:
		place, known := n.at[*index]
		if known && (id == "" || name == "" || n.ids[place] == "" || n.ids[place] == id) {
			if id != "" {
				n.ids[place] = id
			}
			return place
		}
		if n.at == nil {
			n.at = map[int]int{}
		}
		n.at[*index] = last + 1
	}
	n.ids = append(n.ids, id)
	return last + 1
}
