// Package dialecttest holds what the tests of all translators share: the runner of
// golden cases, and an agent's requests to measure with.
//
// It is imported by tests alone.
package dialecttest
