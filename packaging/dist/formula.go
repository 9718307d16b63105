package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// formula writes the Homebrew formula with this release's version and checksums, if all
// platforms were built.
func (r *release) formula(sums map[string]string) error {
	data, err := os.ReadFile("packaging/homebrew/hostless.rb")
	if err != nil {
		return err
	}
	tag := "v" + r.name()
	if strings.HasPrefix(r.version, "v") {
		tag = r.version
	}
	text := strings.NewReplacer("@TAG@", tag, "@VERSION@", r.name()).Replace(string(data))
	for _, p := range platforms {
		sum, ok := sums[r.archiveName(p)+".tar.gz"]
		if !ok {
			return nil
		}
		marker := "@SHA256_" + strings.ToUpper(p.String()) + "@"
		if strings.Count(text, marker) != 1 {
			return fmt.Errorf("packaging/homebrew/hostless.rb: %s must occur exactly once", marker)
		}
		text = strings.Replace(text, marker, sum, 1)
	}
	return put(filepath.Join(r.out, "hostless.rb"), text)
}
