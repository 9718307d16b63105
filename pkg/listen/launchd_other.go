//go:build !darwin

package listen

import "os"

// launchdSockets returns no sockets: launchd exists only on macOS.
func launchdSockets() ([]*os.File, error) { return nil, nil }
