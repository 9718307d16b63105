// Package anthropic translates between OpenAI's chat completions, the intermediate
// form of package dialect, and Anthropic's Messages API
// (https://platform.claude.com/docs/en/api/messages), in both directions. FromChat
// lets a chat client use Anthropic. ToChat lets a Messages client (such as Claude
// Code) use an OpenAI-compatible provider or, with dialect.Chain, any other.
//
// It owns the mapping of fields, blocks, events and errors between the two, and the
// responses that Hostless itself gives on Anthropic's paths: Fault, Models,
// EstimateTokens, Ping. It does no I/O and keeps no state between calls: base URLs,
// keys, timers (a Messages client expects a Ping after at most 15 s of silence) and
// routing belong to the gateway.
package anthropic
