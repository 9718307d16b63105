// Package dialecttest contains what the tests of all translators share: the runner
// of golden cases, and an agent's requests for benchmarks.
//
// Only tests import it.
package dialecttest
