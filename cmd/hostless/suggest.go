package main

// nearest returns the name that was most likely meant, or "": the one with the smallest
// edit distance, of at most a third of the word's length, or a name that starts with
// the word.
func nearest(word string, names []string) string {
	best, found := max(1, len(word)/3)+1, ""
	for _, name := range names {
		d := distance(word, name)
		if len(word) >= 3 && len(name) > len(word) && name[:len(word)] == word {
			d = min(d, 1)
		}
		if d < best {
			best, found = d, name
		}
	}
	return found
}

// distance returns the number of single-byte substitutions, insertions, deletions and
// transpositions between two words (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
