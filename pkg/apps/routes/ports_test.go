package routes

import (
	"fmt"
	"testing"
)

// TestPortsThatToolsOpen reserves most of the range: no port may be one that another tool
// opens by default.
func TestPortsThatToolsOpen(t *testing.T) {
	table, _, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		port, err := table.reserve(fmt.Sprintf("app%d", i))
		if err != nil {
			t.Fatal(err)
		}
		switch port {
		case 4000, 4040, 4173, 4200, 4317, 4318, 4321, 4400, 4444, 4566, 4723, 4873, 4983, 4045, 4190:
			t.Errorf("port %d was given to an app", port)
		}
	}
}
