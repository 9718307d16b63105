//go:build !linux

package daemon

import "time"

func hideMemory() error { return nil }

// monotonic is of use to systemd alone.
func monotonic() time.Duration { return 0 }
