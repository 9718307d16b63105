package jsonscan

// CutMembers returns the edits that remove members, with their commas, from the
// object at the span at. It does not find names that are written with escapes. It
// reads as Skim does.
func CutMembers(data []byte, at Span, cut func(name string) bool) []Edit {
	if at.End <= at.Start || data[at.Start] != '{' {
		return nil
	}
	var all []Span
	var names []string
	Skim(at.Of(data), func(key []byte, v Span) error {
		start := at.Start + v.Start
		for start > at.Start && data[start] != ':' {
			start--
		}
		for start > at.Start && data[start] != '"' {
			start--
		}
		// The key's text must stand between quotes right before the value's colon.
		if start -= len(key) + 1; start <= at.Start || data[start] != '"' {
			names = append(names, "")
			all = append(all, Span{at.Start + v.Start, at.Start + v.End})
			return nil
		}
		names = append(names, string(key))
		all = append(all, Span{start, at.Start + v.End})
		return nil
	})
	return Cut(all, func(i int) bool { return names[i] != "" && cut(names[i]) })
}
