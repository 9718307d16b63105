//go:build !unix

package apps

// silent cannot tell here: no connection is used twice.
func silent(uintptr) bool { return false }
