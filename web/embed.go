// Package web contains the connect SDK: the ES modules that web apps load from the daemon
// or from npm. They are served unchanged; there is no build step.
package web

import "embed"

// Files contains the modules and their type declarations.
//
//go:embed connect.js connect.d.ts connect-react.js connect-react.d.ts
var Files embed.FS
