package responses_test

import (
	"bytes"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/responses"
)

// TestUpstreamGolden translates a chat request into a Responses request, and its
// response into a chat completion.
func TestUpstreamGolden(t *testing.T) {
	dialecttest.Golden{
		Glob:   "testdata/upstream/*.txtar",
		Parts:  []string{"request", "error", "call", "ignored", "reply", "completion", "events", "stream"},
		Inputs: []string{"request", "reply", "events"},
		Run:    runUpstream,
	}.Test(t)
}

func runUpstream(t *testing.T, c dialecttest.Case) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	call, err := responses.FromChat(responses.UpstreamOptions{Options: options(nil), Summary: true})(dialect.Request{Model: "m", Provider: "p", Body: c.In["request"]})
	if err != nil {
		got["error"] = dialecttest.Refused(t, err)
		return got
	}
	got["call"] = dialecttest.Indent(t, call.Body)
	if len(call.Ignored) > 0 {
		got["ignored"] = dialecttest.Lines(call.Ignored)
	}
	if reply, ok := c.In["reply"]; ok {
		body, err := call.Reply.Body(reply)
		if err != nil {
			t.Fatal(err)
		}
		got["completion"] = dialecttest.Indent(t, body)
	}
	if events, ok := c.In["events"]; ok {
		got["stream"] = dialecttest.Translate(call.Reply.Stream(), bytes.NewReader(events), nil)
	}
	return got
}
