package respond

import (
	"bytes"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

var (
	usageMark    = []byte(`"usage`)
	doneMark     = []byte("[DONE]")
	finishMark   = []byte(`"finish_reason":"`)
	finishSpaced = []byte(`"finish_reason": "`)
	errorMark    = []byte(`"error"`)
	choicesMark  = []byte(`"choices"`)
	typeMark     = []byte(`"type"`)
	finishReason = []byte(`"finishReason"`)
	stopMark     = []byte(`"message_stop"`)
	endMarks     = [][]byte{[]byte(`"response.completed"`), []byte(`"response.incomplete"`), []byte(`"response.failed"`), []byte(`"response.cancelled"`)}
)

// ending is how near its end a stream is.
type ending int

const (
	running  ending = iota
	finished        // the model has finished: a connection that is closed in good order broke nothing off
	ended           // the last event has come: nothing that follows matters
)

// endingOf tells what an event says of its stream's end.
func endingOf(d dialect.Name, data []byte) ending {
	if bytes.Contains(data, errorMark) {
		if v, ok := jsonscan.Member(data, "error"); ok && data[v.Start] != 'n' {
			return ended // the provider has told of its own failure
		}
	}
	switch d {
	case dialect.OpenAI:
		switch {
		case bytes.Equal(data, doneMark):
			return ended
		case bytes.Contains(data, finishMark), bytes.Contains(data, finishSpaced):
			return finished
		}
	case dialect.Anthropic:
		if bytes.Contains(data, stopMark) && typeOf(data) == "message_stop" {
			return ended
		}
	case dialect.Responses:
		for _, mark := range endMarks {
			if bytes.Contains(data, mark) && string(mark) == `"`+typeOf(data)+`"` {
				return ended
			}
		}
	case dialect.Gemini:
		if bytes.Contains(data, finishReason) {
			return finished
		}
	default:
		return finished
	}
	return running
}

// typeOf is an event's `type`, which comes first in nearly all.
func typeOf(data []byte) string {
	if !bytes.Contains(data, typeMark) {
		return ""
	}
	span, ok := jsonscan.Member(data, "type")
	if !ok {
		return ""
	}
	s, _ := jsonscan.Text(span.Of(data))
	return s
}

// onlyUsage reports whether a chat chunk is the one that include_usage adds: no
// choices, and the usage.
func onlyUsage(data []byte) bool {
	if !bytes.Contains(data, usageMark) || !bytes.Contains(data, choicesMark) {
		return false
	}
	choices, ok := jsonscan.Member(data, "choices")
	if !ok || len(bytes.Trim(choices.Of(data), "[] \t\r\n")) != 0 {
		return false
	}
	usage, ok := jsonscan.Member(data, "usage")
	return ok && data[usage.Start] == '{'
}
