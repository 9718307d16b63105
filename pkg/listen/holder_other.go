//go:build !linux && !darwin

package listen

// Holder always returns "": the process cannot be determined on this platform.
func Holder(port int) string { return "" }
