// Package anthropic translates between OpenAI's chat completions, the middle of
// package dialect, and Anthropic's Messages API
// (https://platform.claude.com/docs/en/api/messages), both ways: FromChat lets a
// chat client talk to Anthropic, ToChat lets a Messages client (Claude Code)
// talk to an OpenAI-compatible provider or, by dialect.Chain, to any other.
//
// It owns what the fields, blocks, events and errors of the two mean in each
// other's terms, and the shapes that Hostless itself answers in on Anthropic's
// paths: Fault, Models, EstimateTokens, Ping. It does no I/O and keeps no state
// between calls: base URLs, keys, timers (a client of Messages expects a Ping at
// least every 15 s of silence) and the decision who talks to whom are the
// gateway's.
package anthropic
