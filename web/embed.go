// Package web holds the connect SDK: the ES modules that web apps load from the
// daemon or from npm. They are served as they stand; there is no build step.
package web

import "embed"

// Files are the modules and their types.
//
//go:embed connect.js connect.d.ts connect-react.js connect-react.d.ts
var Files embed.FS
