package procinfo

// Descendants returns the living processes below root, root itself excluded,
// parents before their children. An unreadable table is an empty tree.
func Descendants(root int) []Process { return Below(All(), root) }

// Below picks the living processes below root out of a process table, as
// Descendants does.
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
			if seen[p.PID] { // a table read while it changed may loop
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
