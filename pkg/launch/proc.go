package launch

// process is one row of the system's process table.
type process struct {
	pid, ppid, pgrp int
	depth           int  // below the root that was asked for
	dead            bool // a zombie: only a link to what is below it
}

// descend picks the living processes below root, root itself excluded, parents
// before their children.
func descend(all []process, root int) []process {
	children := make(map[int][]process, len(all))
	for _, p := range all {
		if p.pid != p.ppid {
			children[p.ppid] = append(children[p.ppid], p)
		}
	}
	var tree []process
	seen := map[int]bool{root: true}
	queue := []process{{pid: root}}
	for len(queue) > 0 {
		parent := queue[0]
		queue = queue[1:]
		for _, p := range children[parent.pid] {
			if seen[p.pid] { // a table read while it changed may loop
				continue
			}
			seen[p.pid] = true
			p.depth = parent.depth + 1
			if !p.dead {
				tree = append(tree, p)
			}
			queue = append(queue, p)
		}
	}
	return tree
}

// descendants reads the tree below a process. An unreadable table is an empty
// tree.
func descendants(root int) []process { return descend(processes(), root) }
