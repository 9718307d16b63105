// Package gateway implements the AI plane, which is served on bare localhost.
//
// It runs the pipeline that package pipeline defines: authenticate, parse the body once,
// plan, admit, try the candidates until one is accepted, settle and observe. Package
// endpoint classifies paths, policy checks the models of a body, upstream connects to
// providers, and respond sends responses. The stores come in through Config.
//
// Package front decides by the Host which requests reach the gateway; token defines what a
// token may do; keys stores the provider keys; the packages below dialect translate. The
// gateway has no administrative endpoints.
package gateway
