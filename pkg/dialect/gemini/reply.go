package gemini

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
)

// chatReply turns Gemini's answers into chat completions.
type chatReply struct {
	options Options
	model   string
	usage   bool // the caller asked for the usage of a stream
	wav     bool
}

type chatAnswer struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []chatChoice `json:"choices"`
	Usage   *usage       `json:"usage,omitempty"`
}

type chatChoice struct {
	Index        int             `json:"index"`
	Message      chatMessage     `json:"message"`
	Logprobs     json.RawMessage `json:"logprobs"`
	FinishReason string          `json:"finish_reason"`
	Native       string          `json:"native_finish_reason,omitempty"`
}

type chatMessage struct {
	Role      string            `json:"role"`
	Content   *string           `json:"content"`
	Refusal   *string           `json:"refusal"`
	Reasoning string            `json:"reasoning_content,omitempty"`
	ToolCalls []json.RawMessage `json:"tool_calls,omitempty"`
	Images    []json.RawMessage `json:"images,omitempty"`
	Audio     json.RawMessage   `json:"audio,omitempty"`
	Extra     json.RawMessage   `json:"extra_content,omitempty"`
}

func (r *chatReply) Stream() dialect.Stream {
	return &chatStream{reply: r, callCount: map[int]int{}, finish: map[int]string{}}
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
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's answer is not one of Gemini's", Err: err}
	}
	out := chatAnswer{ID: r.id(a.ResponseID), Object: "chat.completion", Created: r.options.Now().Unix(), Model: r.name(a.ModelVersion), Choices: []chatChoice{}}
	if a.Usage != nil {
		u := a.Usage.middle()
		out.Usage = &u
	}
	for i := range a.Candidates {
		choice, err := r.choice(&a.Candidates[i])
		if err != nil {
			return nil, err
		}
		out.Choices = append(out.Choices, choice)
	}
	if len(out.Choices) == 0 {
		if a.PromptFeedback == nil || a.PromptFeedback.BlockReason == "" {
			return nil, fault.New(fault.Upstream, "the provider's answer has no candidates")
		}
		refusal := a.PromptFeedback.refusal()
		out.Choices = append(out.Choices, chatChoice{
			Message: chatMessage{Role: "assistant", Refusal: &refusal}, FinishReason: "content_filter", Native: a.PromptFeedback.BlockReason,
		})
	}
	return rawjson.Marshal(out)
}

func (f *feedback) refusal() string {
	if f.BlockReasonMessage != "" {
		return f.BlockReasonMessage
	}
	return "The prompt was blocked: " + f.BlockReason
}

func (r *chatReply) choice(c *candidate) (chatChoice, error) {
	out := chatChoice{Index: c.Index, Message: chatMessage{Role: "assistant"}, Logprobs: c.Logprobs.chat()}
	var said, thought strings.Builder
	spoke := false
	var audio []byte
	for i := range c.Content.Parts {
		p := &c.Content.Parts[i]
		p.render()
		switch {
		case p.FunctionCall != nil:
			call := r.call(p)
			out.Message.ToolCalls = append(out.Message.ToolCalls, appendCall(nil, -1, call))
			continue
		case p.Text != nil:
			s, ok := rawjson.Text(*p.Text)
			if !ok {
				return out, fault.New(fault.Upstream, "the provider's answer has a text that is none")
			}
			if p.Thought {
				thought.WriteString(s)
			} else {
				said.WriteString(s)
				spoke = true
			}
		case p.InlineData != nil && strings.HasPrefix(p.InlineData.MimeType, "audio/"):
			samples, err := base64.StdEncoding.DecodeString(p.InlineData.Data)
			if err != nil {
				return out, &fault.Error{Kind: fault.Upstream, Message: "the provider's audio is not base64", Err: err}
			}
			audio = append(audio, samples...)
		case p.InlineData != nil:
			out.Message.Images = append(out.Message.Images, appendImage(nil, -1, p.InlineData))
		}
		if p.ThoughtSignature != "" {
			out.Message.Extra = appendSignature(nil, p.ThoughtSignature)
		}
	}
	if spoke || len(out.Message.ToolCalls) == 0 && len(out.Message.Images) == 0 && audio == nil {
		s := said.String()
		out.Message.Content = &s
	}
	out.Message.Reasoning = thought.String()
	if audio != nil {
		if r.wav {
			audio = wav(audio)
		}
		out.Message.Audio = rawjson.Object{
			rawjson.T("id", "audio_"+r.options.NewID()),
			rawjson.T("data", base64.StdEncoding.EncodeToString(audio)),
			rawjson.M("expires_at", json.RawMessage("0")),
			rawjson.T("transcript", ""),
		}.JSON()
	}
	out.FinishReason, out.Native = finish(c.FinishReason, len(out.Message.ToolCalls) > 0)
	return out, nil
}

// render writes executed code and its output as text.
func (p *part) render() {
	var s string
	switch {
	case p.ExecutableCode != nil:
		s = "\n```" + strings.ToLower(p.ExecutableCode.Language) + "\n" + p.ExecutableCode.Code + "\n```\n"
	case p.CodeExecutionResult != nil:
		s = "\n```\n" + p.CodeExecutionResult.Output + "\n```\n"
	default:
		return
	}
	raw := rawjson.Quote(s)
	p.Text = &raw
}

// outCall is a tool call on its way to the caller.
type outCall struct{ id, name, arguments, signature string }

func (r *chatReply) call(p *part) outCall {
	c := outCall{id: p.FunctionCall.ID, name: p.FunctionCall.Name, arguments: "{}", signature: p.ThoughtSignature}
	if c.id == "" {
		c.id = "call_" + r.options.NewID()
	}
	if args := rawjson.Set(p.FunctionCall.Args); args != nil {
		c.arguments = string(rawjson.Compact(args))
	}
	if c.signature != "" {
		r.options.Signatures.Put(c.id, c.signature)
	}
	return c
}

// appendCall writes a tool call, with its place in a stream if index is not negative.
func appendCall(b []byte, index int, c outCall) []byte {
	b = append(b, '{')
	b = appendIndex(b, index)
	b = rawjson.AppendString(append(b, `"id":`...), c.id)
	b = rawjson.AppendString(append(b, `,"type":"function","function":{"name":`...), c.name)
	b = rawjson.AppendString(append(b, `,"arguments":`...), c.arguments)
	b = append(b, '}')
	if c.signature != "" {
		b = appendSignature(append(b, `,"extra_content":`...), c.signature)
	}
	return append(b, '}')
}

func appendSignature(b []byte, signature string) []byte {
	return append(rawjson.AppendString(append(b, `{"google":{"thought_signature":`...), signature), "}}"...)
}

func appendImage(b []byte, index int, data *blob) []byte {
	b = append(b, '{')
	b = appendIndex(b, index)
	b = append(b, `"type":"image_url","image_url":{"url":`...)
	return append(rawjson.AppendString(b, "data:"+data.MimeType+";base64,"+data.Data), "}}"...)
}

// finish maps a finish reason; native is Google's word where the mapping loses it.
func finish(reason string, called bool) (middle, native string) {
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
	b = rawjson.AppendString(append(b, `{"token":`...), l.Token)
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

// wav puts a header in front of Gemini's samples: 16 bit, mono, 24 kHz.
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
