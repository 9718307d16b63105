// Package gateway is the AI plane: what is served on bare localhost.
//
// It owns a request's way from its bridge token to the provider and back:
// authenticate, classify the path, route by model, check the scope, fetch the
// key, translate where dialects differ, forward over one shared transport,
// stream the answer back event by event, and count usage on the side. Bodies
// pass byte for byte; see Config for what it needs of others.
//
// Which requests reach it (the Host header) is package front's business; what a
// token may do is token's; where keys lie is keys'; what a dialect means is
// decided in the packages below dialect. Nothing here administers anything.
package gateway
