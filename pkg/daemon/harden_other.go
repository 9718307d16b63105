//go:build !linux

package daemon

import "time"

func hideMemory() error { return nil }

// monotonic is needed only under systemd.
func monotonic() time.Duration { return 0 }
