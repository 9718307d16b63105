// Package build determines the version of a Hostless binary. It leaves the use of it to
// others.
package build

import "runtime/debug"

// Version returns the linker's version if it is not "", or else the module's version, the
// commit as "dev-" and 12 hex digits, or "dev".
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	return version(info)
}

func version(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "dev-" + s.Value[:12]
		}
	}
	return "dev"
}
