package gemini

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// chatReply translates Gemini's responses into chat completions.
type chatReply struct {
	options Options
	model   string
	usage   bool // the client asked for the usage of a stream
	wav     bool
	names   toolNames // of functions whose names were replaced

	searches   bool // the model may search: the complete text is needed
	mayBeEmpty bool // a response without content is valid
}

func (r *chatReply) Stream() dialect.Stream {
	return &chatStream{reply: r, callCount: map[int]int{}, finish: map[int]string{}, texts: map[int][]byte{}, grounds: map[int]*candidate{}}
}

func (r *chatReply) Error(status int, header http.Header, body []byte) []byte {
	return chatError(readError(status, header, body))
}

func (r *chatReply) id(responseID string) string {
	if responseID == "" {
		responseID = r.options.NewID()
	}
	return "chatcmpl-" + responseID
}

func (r *chatReply) name(version string) string {
	if version != "" {
		return version
	}
	return r.model
}

func (r *chatReply) Body(body []byte) ([]byte, error) {
	var a answer
	if err := jsonscan.Decode(body, &a); err != nil {
		return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's response is not one of Gemini's", Err: err}
	}
	blocked := len(a.Candidates) == 0
	if blocked && (a.PromptFeedback == nil || a.PromptFeedback.BlockReason == "") {
		return nil, fault.New(fault.Upstream, "the provider's response has no candidates")
	}
	if p := a.malformed(r.mayBeEmpty); p != nil {
		return nil, &fault.Error{Kind: fault.Upstream, Message: p.message, Code: p.code}
	}
	b := r.appendHead(make([]byte, 0, len(body)+len(body)/8+512), &a, "chat.completion")
	for i := range a.Candidates {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = r.appendChoice(b, &a.Candidates[i]); err != nil {
			return nil, err
		}
	}
	if blocked {
		b = append(b, `{"index":0,"message":{"role":"assistant","content":null,"refusal":`...)
		b = jsonscan.AppendQuote(b, a.PromptFeedback.refusal())
		b = append(b, `},"logprobs":null,"finish_reason":"content_filter","native_finish_reason":`...)
		b = append(jsonscan.AppendQuote(b, a.PromptFeedback.BlockReason), '}')
	}
	b = append(b, ']')
	if a.Usage != nil {
		searches := 0
		for i := range a.Candidates {
			searches += a.Candidates[i].queries()
		}
		b = append(append(b, `,"usage":`...), rawjson.Must(a.Usage.chat(searches))...)
	}
	return append(b, '}'), nil
}

// appendHead writes the beginning of a completion, up to the choices.
func (r *chatReply) appendHead(b []byte, a *answer, object string) []byte {
	b = jsonscan.AppendQuote(append(b, `{"id":`...), r.id(a.ResponseID))
	b = append(append(append(b, `,"object":"`...), object...), `","created":`...)
	b = strconv.AppendInt(b, r.options.Now().Unix(), 10)
	b = jsonscan.AppendQuote(append(b, `,"model":`...), r.name(a.ModelVersion))
	return append(b, `,"choices":[`...)
}

// malformed returns the error for a response in which the model failed to produce a
// function call. As a normal end without a call, it would end an agent's run. The
// same holds for a response without content, unless mayBeEmpty, because a stop
// sequence may end a response at once. It returns nil if some candidate is usable.
func (a *answer) malformed(mayBeEmpty bool) *problem {
	var p *problem
	for i := range a.Candidates {
		c := &a.Candidates[i]
		if p = malformedFinish(c.FinishReason, c.FinishMessage); p == nil && !mayBeEmpty && !c.Content.holds() {
			p = emptyFinish(c.FinishReason)
		}
		if p == nil || c.Content.calls() {
			return nil
		}
	}
	return p
}

// holds reports whether a content has anything except thoughts.
func (c *content) holds() bool {
	return slices.ContainsFunc(c.Parts, func(p part) bool {
		spoken := p.Text != nil && !p.Text.Empty() && !p.Thought
		return spoken || p.FunctionCall != nil || p.InlineData != nil || p.FileData != nil || p.ExecutableCode != nil || p.CodeExecutionResult != nil
	})
}

// emptyFinish returns the error for a candidate that ended normally but is empty,
// because a client would take it for the end of its work. It returns nil for other
// finish reasons.
func emptyFinish(reason string) *problem {
	switch reason {
	case "STOP", "", "FINISH_REASON_UNSPECIFIED", "OTHER":
		return &problem{status: http.StatusBadGateway, message: "the model returned an empty response", kind: "api_error", code: "EMPTY_ANSWER"}
	}
	return nil
}

// malformedFinish returns the error that a finish reason stands for, or nil.
func malformedFinish(reason, message string) *problem {
	switch reason {
	case "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE":
	default:
		return nil
	}
	if message == "" {
		message = "the model gave up on a function call: " + reason
	}
	return &problem{status: http.StatusBadGateway, message: message, kind: "api_error", code: reason}
}

func (f *feedback) refusal() string {
	if f.BlockReasonMessage != "" {
		return f.BlockReasonMessage
	}
	return "The prompt was blocked: " + f.BlockReason
}

// appendChoice writes a candidate as a choice.
func (r *chatReply) appendChoice(b []byte, c *candidate) ([]byte, error) {
	var texts, thoughts []jsonscan.String
	var calls []outCall
	var images []*blob
	var audio []byte
	var signature string
	for i := range c.Content.Parts {
		p := &c.Content.Parts[i]
		p.renderCode()
		switch {
		case p.FunctionCall != nil:
			calls = append(calls, r.call(p))
			continue
		case p.Text != nil && p.Thought:
			thoughts = append(thoughts, p.Text)
		case p.Text != nil:
			texts = append(texts, p.Text)
		case p.InlineData != nil && strings.HasPrefix(p.InlineData.MimeType, "audio/"):
			samples, err := base64.StdEncoding.DecodeString(p.InlineData.Data.Text())
			if err != nil {
				return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's audio is not base64", Err: err}
			}
			audio = append(audio, samples...)
		case p.InlineData != nil:
			images = append(images, p.InlineData)
		}
		if p.ThoughtSignature != "" {
			signature = p.ThoughtSignature
		}
	}
	b = strconv.AppendInt(append(b, `{"index":`...), int64(c.Index), 10)
	b = append(b, `,"message":{"role":"assistant","content":`...)
	if len(texts) > 0 || len(calls) == 0 && len(images) == 0 && audio == nil {
		b = appendJoined(b, texts, "")
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"refusal":null`...)
	if len(thoughts) > 0 {
		b = appendJoined(append(b, `,"reasoning_content":`...), thoughts, "")
	}
	b = appendList(b, `,"tool_calls":`, calls, func(b []byte, call outCall) []byte { return appendCall(b, -1, call) })
	b = appendList(b, `,"images":`, images, func(b []byte, image *blob) []byte { return appendImage(b, -1, image) })
	if audio != nil {
		if r.wav {
			audio = wav(audio)
		}
		b = jsonscan.AppendQuote(append(b, `,"audio":{"id":`...), "audio_"+r.options.NewID())
		b = append(append(b, `,"data":`...), encoded(audio)...)
		b = append(b, `,"expires_at":0,"transcript":""}`...)
	}
	if signature != "" {
		b = appendSignature(append(b, `,"extra_content":`...), signature)
	}
	if c.Grounding != nil || c.Read != nil {
		b = c.appendSearched(b, textOf(texts))
	}
	b = append(b, `},"logprobs":`...)
	if probabilities := c.Logprobs.chat(); probabilities != nil {
		b = append(b, probabilities...)
	} else {
		b = append(b, "null"...)
	}
	reason, native := finish(c.FinishReason, len(calls) > 0)
	b = jsonscan.AppendQuote(append(b, `,"finish_reason":`...), reason)
	if native != "" {
		b = jsonscan.AppendQuote(append(b, `,"native_finish_reason":`...), native)
	}
	return append(b, '}'), nil
}

// appendList appends a member whose value is a list, unless the list is empty.
func appendList[T any](b []byte, name string, list []T, each func([]byte, T) []byte) []byte {
	for i, one := range list {
		if i == 0 {
			b = append(append(b, name...), '[')
		} else {
			b = append(b, ',')
		}
		b = each(b, one)
	}
	if len(list) > 0 {
		b = append(b, ']')
	}
	return b
}

// renderCode writes executed code and its output as text.
func (p *part) renderCode() {
	switch {
	case p.ExecutableCode != nil:
		p.Text = jsonscan.Quote("\n```" + strings.ToLower(p.ExecutableCode.Language) + "\n" + p.ExecutableCode.Code + "\n```\n")
	case p.CodeExecutionResult != nil:
		p.Text = jsonscan.Quote("\n```\n" + p.CodeExecutionResult.Output + "\n```\n")
	}
}

// outCall is a tool call to be sent to the client.
type outCall struct {
	id, name, signature string
	args                json.RawMessage // an object
}

func (r *chatReply) call(p *part) outCall {
	c := outCall{id: p.FunctionCall.ID, name: r.names.original(p.FunctionCall.Name), args: json.RawMessage("{}"), signature: p.ThoughtSignature}
	if c.id == "" {
		c.id = "call_" + r.options.NewID()
	}
	if args := rawjson.Set(p.FunctionCall.Args); args != nil {
		c.args = args
	}
	if c.signature != "" {
		r.options.Signatures.Put(c.id, c.signature)
	}
	return c
}

// value returns the tool call of a message in a request.
func (c outCall) value() jsonscan.Value { return jsonscan.Raw(appendCall(nil, -1, c)) }

// appendCall writes a tool call, with its index in a stream unless index is
// negative.
func appendCall(b []byte, index int, c outCall) []byte {
	b = append(b, '{')
	b = appendIndex(b, index)
	b = jsonscan.AppendQuote(append(b, `"id":`...), c.id)
	b = jsonscan.AppendQuote(append(b, `,"type":"function","function":{"name":`...), c.name)
	b = jsonscan.AppendCompactQuoted(append(b, `,"arguments":`...), c.args)
	b = append(b, '}')
	if c.signature != "" {
		b = appendSignature(append(b, `,"extra_content":`...), c.signature)
	}
	return append(b, '}')
}

func appendSignature(b []byte, signature string) []byte {
	return append(jsonscan.AppendQuote(append(b, `{"google":{"thought_signature":`...), signature), "}}"...)
}

func appendImage(b []byte, index int, data *blob) []byte {
	b = append(b, '{')
	b = appendIndex(b, index)
	b = append(b, `"type":"image_url","image_url":{"url":`...)
	return append(appendDataURL(b, data.MimeType, data), "}}"...)
}

// appendDataURL writes inline data as a data: URL (RFC 2397).
func appendDataURL(b []byte, mime string, data *blob) []byte {
	b = jsonscan.AppendQuoteInner(append(b, `"data:`...), mime)
	return append(jsonscan.AppendInner(append(b, ";base64,"...), data.Data), '"')
}

// finish maps a finish reason. native is Google's reason if the mapping loses it.
func finish(reason string, called bool) (chatReason, native string) {
	switch reason {
	case "STOP", "", "FINISH_REASON_UNSPECIFIED":
		if called {
			return "tool_calls", ""
		}
		return "stop", ""
	case "MAX_TOKENS":
		return "length", ""
	case "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR":
		return "content_filter", reason
	}
	if strings.HasPrefix(reason, "IMAGE_") {
		return "content_filter", reason
	}
	if called {
		return "tool_calls", reason
	}
	return "stop", reason
}

func (l *logprobs) chat() json.RawMessage {
	if l == nil || len(l.Chosen) == 0 {
		return nil
	}
	b := []byte(`{"content":[`)
	for i, chosen := range l.Chosen {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(chosen.chat(b), `,"top_logprobs":[`...)
		if i < len(l.Top) {
			for k, top := range l.Top[i].Candidates {
				if k > 0 {
					b = append(b, ',')
				}
				b = append(top.chat(b), '}')
			}
		}
		b = append(b, "]}"...)
	}
	return append(b, `],"refusal":null}`...)
}

func (l logprob) chat(b []byte) []byte {
	b = jsonscan.AppendQuote(append(b, `{"token":`...), l.Token)
	b = append(b, `,"logprob":`...)
	if p := rawjson.Set(l.Probability); p != nil {
		b = append(b, p...)
	} else {
		b = append(b, '0')
	}
	b = append(b, `,"bytes":`...)
	bytes := make([]int, 0, len(l.Token))
	for _, c := range []byte(l.Token) {
		bytes = append(bytes, int(c))
	}
	return append(b, rawjson.Must(bytes)...)
}

// wav adds a header to Gemini's samples: 16 bit, mono, 24 kHz.
func wav(samples []byte) []byte {
	const rate = 24000
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(36+len(samples)))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, rate*2)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(samples)))
	return append(b, samples...)
}
