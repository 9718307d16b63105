package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// kept lists the files that any package of Hostless keeps in a home.
var kept = []string{
	"audit.jsonl", "audit.jsonl.1", "audit.jsonl.2", "audit.jsonl.3",
	"config.json", "keys.env", "vault.json", "tokens.json", "routes.json", "approvals.json", "logins.json", "prices.json", "budgets.json", "killed", "requests", "metrics.token",
	"hostless.port", "hostless.pid", "hostless.lock", "hostless.socket", "control.sock", "control.sock.lock",
	"ca.crt", "ca.key", "lan-ca.crt", "lan-ca.key", "ca-bundle.crt", "localhost.crt", "localhost.key",
	"runs", "logs/apps", "logs/hostlessd.log", "logs/hostlessd.log.1",
}

// Purge removes everything that Hostless keeps in a home, including files kept aside and
// temporary files. It removes the home too if nothing else is in it. The home may be the
// user's own directory (HOSTLESS_HOME=$HOME): other files stay, and then removed is
// false.
func Purge(home string) (removed bool, err error) {
	var errs []error
	for _, name := range kept {
		errs = append(errs, os.RemoveAll(filepath.Join(home, name)))
		for _, pattern := range []string{name + ".corrupt-*", "." + name + ".tmp-*"} {
			left, _ := filepath.Glob(filepath.Join(escapeGlob(home), pattern))
			for _, path := range left {
				errs = append(errs, os.Remove(path))
			}
		}
	}
	for _, dir := range []string{filepath.Join(home, "logs"), home} {
		os.Remove(dir) // fails unless empty
	}
	if err := errors.Join(errs...); err != nil {
		return false, fmt.Errorf("remove what is in %s: %w", home, err)
	}
	_, err = os.Lstat(home)
	return errors.Is(err, fs.ErrNotExist), nil
}

// escapeGlob quotes a path for use in a glob pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
