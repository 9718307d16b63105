package procinfo

// Descendants returns the running descendants of root, parents before their children. It
// is empty if the process table cannot be read.
func Descendants(root int) []Process { return Below(All(), root) }

// Below is Descendants on a given process table.
func Below(all []Process, root int) []Process {
	children := make(map[int][]Process, len(all))
	for _, p := range all {
		if p.PID != p.PPID {
			children[p.PPID] = append(children[p.PPID], p)
		}
	}
	var tree []Process
	seen := map[int]bool{root: true}
	queue := []Process{{PID: root}}
	for len(queue) > 0 {
		parent := queue[0]
		queue = queue[1:]
		for _, p := range children[parent.PID] {
			if seen[p.PID] { // a table that was read while it changed may contain a loop
				continue
			}
			seen[p.PID] = true
			p.Depth = parent.Depth + 1
			if !p.Dead {
				tree = append(tree, p)
			}
			queue = append(queue, p)
		}
	}
	return tree
}
