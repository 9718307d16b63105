package openai

import (
	"bytes"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Foreign returns the edits that remove from a chat request the thinking that
// Hostless added to the conversation while another provider's model responded:
// providers refuse message members that they do not know, and cannot read what they
// did not produce. It keeps what a provider of these facts produced itself, and
// everything that was not made here. messages is the span of the messages in data.
// ignored names what was removed.
func Foreign(data []byte, messages jsonscan.Span, provider string, facts Facts) (edits []jsonscan.Edit, ignored []string) {
	if !holdsDetails(messages.Of(data)) {
		return nil, nil
	}
	for _, at := range jsonscan.Spans(data, messages) {
		fields := jsonscan.Fields(data, at, ReasoningDetails, ReasoningContent)
		if fields[0].End == 0 || !madeHere(jsonscan.Raw(fields[0].Of(data)), provider) {
			continue
		}
		ignored = []string{"messages." + ReasoningDetails}
		first, last := fields[0], fields[1]
		switch {
		case last.End == 0 || facts.Takes(ReasoningContent):
			edits = append(edits, cutMembers(data, at, first, first))
			continue
		case first.Start > last.Start:
			first, last = last, first
		}
		if adjoin(data, first, last) {
			edits = append(edits, cutMembers(data, at, first, last))
		} else {
			edits = append(edits, cutMembers(data, at, first, first), cutMembers(data, at, last, last))
		}
	}
	return edits, ignored
}

// holdsDetails reports whether reasoning_details occurs anywhere in a text. It
// searches for the one rare byte of the name, which is many times faster than
// searching for the name in a text that is full of quotes.
func holdsDetails(text []byte) bool {
	before, after, _ := strings.Cut(ReasoningDetails, "_")
	for {
		i := bytes.IndexByte(text, '_')
		if i < 0 {
			return false
		}
		rest := text[i+1:]
		if len(rest) >= len(after) && string(rest[:len(after)]) == after && i >= len(before) && string(text[i-len(before):i]) == before {
			return true
		}
		text = rest
	}
}

// madeHere reports whether a list of reasoning_details has an element in Hostless's
// own format, or one that another provider encrypted.
func madeHere(list jsonscan.Value, provider string) bool {
	for _, e := range list.Elements() {
		if encrypted, ok := EncryptedOf(e); ok && encrypted.Provider != "" && encrypted.Provider != provider {
			return true
		}
		if kind := e.Get("type"); e.Kind() == '{' && (kind.Is(`"thinking"`) || kind.Is(`"redacted"`)) {
			return true
		}
	}
	return false
}

// adjoin reports whether two members are adjacent.
func adjoin(data []byte, a, b jsonscan.Span) bool {
	return bytes.Count(bytes.Trim(data[a.End:b.Start], " \t\r\n:,"), []byte(`"`)) == 2
}

// cutMembers returns the edit that removes the members from the one with the value
// first to the one with the value last from an object, with a comma.
func cutMembers(data []byte, object, first, last jsonscan.Span) jsonscan.Edit {
	start := first.Start - 1
	for quotes := 0; quotes < 2 && start > object.Start; start-- { // those of the name
		if data[start] == '"' {
			quotes++
		}
	}
	for start > object.Start && (data[start] == ' ' || data[start] == '\t' || data[start] == '\r' || data[start] == '\n') {
		start--
	}
	if data[start] == ',' {
		return jsonscan.Edit{At: jsonscan.Span{Start: start, End: last.End}}
	}
	end := last.End
	for end < object.End && data[end] != ',' && data[end] != '}' {
		end++
	}
	if data[end] == ',' {
		end++
	}
	return jsonscan.Edit{At: jsonscan.Span{Start: start + 1, End: end}}
}
