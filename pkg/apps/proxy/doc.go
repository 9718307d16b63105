// Package proxy owns the reverse proxy of the apps: it finds the route of a
// request, forwards requests, responses and upgrades, holds a request while its
// app starts, and shows a page that says what is wrong where an app cannot be
// reached.
//
// That only names below .localhost come here is package front's doing, which is
// checked again. The route table is package routes'.
package proxy
