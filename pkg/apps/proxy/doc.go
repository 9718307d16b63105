// Package proxy owns the reverse proxy for apps. It finds the route of a request,
// forwards requests, responses and upgrades, holds requests while an app starts, and
// shows an error page if an app cannot be reached.
//
// Package front routes only the host names of apps to this package, which checks them
// again. Package routes owns the route table.
package proxy
