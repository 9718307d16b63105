package agents

import (
	"path/filepath"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// installed returns the path of a file of the installed agents, which take about 900 MB.
func installed(t *testing.T, file string) string {
	t.Helper()
	return filepath.Join(harness.NPM(t), "node_modules", filepath.FromSlash(file))
}
