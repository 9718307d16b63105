package gemini

import (
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Contents are written by hand, because a request contains about a megabyte of
// them, and each text is copied from the client's body only once.

func appendContents(b []byte, contents []content) []byte {
	b = append(b, '[')
	for i := range contents {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendContent(b, &contents[i])
	}
	return append(b, ']')
}

func appendContent(b []byte, c *content) []byte {
	b = append(b, '{')
	if c.Role != "" {
		b = append(jsonscan.AppendQuote(append(b, `"role":`...), c.Role), ',')
	}
	b = append(b, `"parts":`...)
	return append(appendParts(b, c.Parts), '}')
}

func appendParts(b []byte, parts []part) []byte {
	b = append(b, '[')
	for i := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPart(b, &parts[i])
	}
	return append(b, ']')
}

// appendName appends a member's name and what separates it from its neighbors, in
// an object that begins at b[from].
func appendName(b []byte, from int, name string) []byte {
	if len(b) > from+1 {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), name...), `":`...)
}

func appendPart(b []byte, p *part) []byte {
	from := len(b)
	b = append(b, '{')
	if p.Text != nil {
		b = jsonscan.AppendString(appendName(b, from, "text"), p.Text)
	}
	if p.Thought {
		b = append(appendName(b, from, "thought"), "true"...)
	}
	if p.InlineData != nil {
		b = appendBlob(appendName(b, from, "inlineData"), p.InlineData)
	}
	if p.FileData != nil {
		b = append(appendName(b, from, "fileData"), '{')
		if p.FileData.MimeType != "" {
			b = append(jsonscan.AppendQuote(append(b, `"mimeType":`...), p.FileData.MimeType), ',')
		}
		b = append(jsonscan.AppendQuote(append(b, `"fileUri":`...), p.FileData.FileURI), '}')
	}
	if p.FunctionCall != nil {
		b = appendCallPart(appendName(b, from, "functionCall"), p.FunctionCall)
	}
	if p.FunctionResponse != nil {
		b = appendResponse(appendName(b, from, "functionResponse"), p.FunctionResponse)
	}
	if p.ThoughtSignature != "" {
		b = jsonscan.AppendQuote(appendName(b, from, "thoughtSignature"), p.ThoughtSignature)
	}
	return append(b, '}')
}

func appendBlob(b []byte, data *blob) []byte {
	b = jsonscan.AppendQuote(append(b, `{"mimeType":`...), data.MimeType)
	b = jsonscan.AppendString(append(b, `,"data":`...), data.Data)
	if data.DisplayName != "" {
		b = jsonscan.AppendQuote(append(b, `,"displayName":`...), data.DisplayName)
	}
	return append(b, '}')
}

func appendCallPart(b []byte, c *functionCall) []byte {
	b = append(b, '{')
	if c.ID != "" {
		b = append(jsonscan.AppendQuote(append(b, `"id":`...), c.ID), ',')
	}
	b = jsonscan.AppendQuote(append(b, `"name":`...), c.Name)
	if len(c.Args) > 0 {
		b = append(append(b, `,"args":`...), c.Args...)
	}
	return append(b, '}')
}

func appendResponse(b []byte, r *functionResponse) []byte {
	b = append(b, '{')
	if r.ID != "" {
		b = append(jsonscan.AppendQuote(append(b, `"id":`...), r.ID), ',')
	}
	b = jsonscan.AppendQuote(append(b, `"name":`...), r.Name)
	b = append(b, `,"response":`...)
	if r.Response != nil {
		b = append(b, r.Response...)
	} else {
		b = append(appendJoined(append(b, `{"content":`...), r.lines, `\n`), '}')
	}
	return append(b, '}')
}

// appendJoined appends JSON strings as one string, with an escaped separator
// between them.
func appendJoined(b []byte, texts []jsonscan.String, separator string) []byte {
	b = append(b, '"')
	for i, text := range texts {
		if i > 0 {
			b = append(b, separator...)
		}
		b = jsonscan.AppendInner(b, text)
	}
	return append(b, '"')
}

// MarshalJSON writes a content into small requests (embeddings) and responses.
func (c content) MarshalJSON() ([]byte, error) { return appendContent(nil, &c), nil }
