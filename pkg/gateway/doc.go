// Package gateway is the AI plane: what is served on bare localhost.
//
// It runs the pipeline that package pipeline declares: authenticate, parse the body
// once, plan, admit, try the candidates until one is accepted, settle and observe.
// What a path means is decided in endpoint, what a body names in policy, how a
// provider is reached in upstream, how an answer is sent in respond; see Config for
// what comes in from outside.
//
// Which requests reach it (the Host header) is package front's business; what a
// token may do is token's; where keys lie is keys'; what a dialect means is decided
// in the packages below dialect. Nothing here administers anything.
package gateway
