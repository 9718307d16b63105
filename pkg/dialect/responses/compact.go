package responses

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// compactionPrompt asks a model for a summary that replaces a conversation.
const compactionPrompt = `Write a summary of the conversation above. It will replace the conversation: whoever goes on with the work sees the summary and nothing else.
State the user's goal and instructions, what was decided and why, what was done (with the exact names of files, functions, commands and identifiers), what was learnt from the tools, what failed, what is unfinished, and the next step.
Answer with the summary alone. Call no tool and do not go on with the work itself.`

// summaryIntro precedes a summary when a conversation continues from it.
const summaryIntro = "The conversation up to here was replaced by this summary of it:\n\n"

// clipped is how much of a tool's arguments or result is included in a request for
// a summary, in bytes, because the context is full when a summary is requested.
const clipped = 16 << 10

// summary is the decoded encrypted_content of a compaction made here.
type summary struct {
	Summary string `json:"summary"`
}

func sealSummary(text string) string {
	return sealedPrefix + base64.StdEncoding.EncodeToString(rawjson.Must(summary{text}))
}

// unsealSummary reads a compaction's encrypted_content. ok is false if it was not
// made here.
func unsealSummary(content string) (text string, ok bool) {
	sealed, ok := strings.CutPrefix(content, sealedPrefix)
	if !ok {
		return "", false
	}
	data, err := base64.StdEncoding.DecodeString(sealed)
	var s summary
	if err != nil || jsonscan.Decode(data, &s) != nil || s.Summary == "" {
		return "", false
	}
	return s.Summary, true
}

// compaction restores a summary from an earlier compaction, as text of the user.
func (c *converter) compaction(it *item) {
	text, ok := unsealSummary(it.EncryptedContent.Text())
	if !ok {
		c.ignore(it.Type) // only OpenAI can read its own
		return
	}
	c.endTurn()
	c.endOutputs()
	c.addText("user", jsonscan.Quoted(summaryIntro+text))
}

// isCompaction reports whether a request's input asks for a compaction.
func isCompaction(input jsonscan.Value) bool {
	for _, it := range input.Elements() {
		if it.Kind() == '{' && it.Get("type").Is(`"compaction_trigger"`) {
			return true
		}
	}
	return false
}

// transcript returns a conversation as plain text, without tools and thinking,
// followed by the prompt for a summary: any model accepts that, and none continues
// the work.
func transcript(messages []jsonscan.Value) []jsonscan.Value {
	names := map[string]string{}
	out := make([]jsonscan.Value, 0, len(messages)+1)
	say := func(role, text string) {
		if text = strings.TrimSpace(text); text == "" {
			return
		}
		if n := len(out); n > 0 && out[n-1].Get("role").Is(`"`+role+`"`) {
			if before := out[n-1].Get("content").String(); before != nil {
				out[n-1] = textMessage(role, before.Text()+"\n\n"+text)
				return
			}
		}
		out = append(out, textMessage(role, text))
	}
	for _, m := range messages {
		switch content := m.Get("content"); m.Get("role").String().Text() {
		case "assistant":
			text := content.String().Text()
			for _, call := range m.Get("tool_calls").Elements() {
				f := call.Get("function")
				name := f.Get("name").String().Text()
				names[call.Get("id").String().Text()] = name
				text += fmt.Sprintf("\n\n[called %s: %s]", name, clip(f.Get("arguments").String().Text()))
			}
			say("assistant", text)
		case "tool":
			say("user", fmt.Sprintf("[result of %s: %s]", names[m.Get("tool_call_id").String().Text()], clip(content.String().Text())))
		default:
			if text := content.String(); text != nil {
				say(m.Get("role").String().Text(), text.Text())
			} else {
				out = append(out, m)
			}
		}
	}
	say("user", compactionPrompt)
	return out
}

func textMessage(role, text string) jsonscan.Value {
	return jsonscan.Obj(member("content", jsonscan.Quoted(text)), member("role", jsonscan.Quoted(role)))
}

// clip shortens a long text, keeping both ends.
func clip(text string) string {
	if len(text) <= clipped {
		return text
	}
	head, tail := text[:clipped/2], text[len(text)-clipped/2:]
	return strings.ToValidUTF8(head, "") + fmt.Sprintf("\n[%d bytes left out]\n", len(text)-clipped) + strings.ToValidUTF8(tail, "")
}

// compactionItem is the output item of a compaction.
type compactionItem struct {
	ID               string `json:"id"`
	Type             string `json:"type"`
	EncryptedContent string `json:"encrypted_content"`
}

// compactReply translates the model's summary into a response whose only item is a
// compaction.
type compactReply struct {
	*reply
	users []any // for /responses/compact: the user's messages, which precede the compaction
	whole bool  // the request is for /responses/compact
}

func (r *compactReply) item(text string) compactionItem {
	return compactionItem{"cmp_" + r.options.NewID(), "compaction", sealSummary(text)}
}

// keep remembers what the conversation continues from.
func (r *compactReply) keep(id, text string) {
	if r.store != nil {
		r.store.Put(id, []json.RawMessage{textMessage("user", summaryIntro+text).JSON()})
	}
}

func noSummary() error {
	return &fault.Error{Kind: fault.Upstream, Code: "server_error", Message: "the model returned no summary of the conversation"}
}

// Body implements dialect.Reply.
func (r *compactReply) Body(body []byte) ([]byte, error) {
	var c completion
	if err := jsonscan.Decode(body, &c); err != nil {
		return nil, fmt.Errorf("read chat completion: %w", err)
	}
	text := ""
	if len(c.Choices) > 0 {
		text = strings.TrimSpace(jsonscan.String(c.Choices[0].Message.Text()).Text())
	}
	if text == "" {
		return nil, noSummary()
	}
	id := "resp_" + r.options.NewID()
	r.keep(id, text)
	created := r.options.Now().Unix()
	output := append(append([]any{}, r.users...), r.item(text))
	if r.whole {
		return rawjson.Marshal(struct {
			ID        string `json:"id"`
			Object    string `json:"object"`
			CreatedAt int64  `json:"created_at"`
			Output    []any  `json:"output"`
			Usage     any    `json:"usage"`
		}{id, "response.compaction", created, output, c.Usage.responses()})
	}
	out := r.frame(id, created, c.Model, "completed")
	out.Output, out.Usage = output, c.Usage.responses()
	return rawjson.Marshal(out)
}

// Stream implements dialect.Reply.
func (r *compactReply) Stream() dialect.Stream {
	inner := *r.reply
	inner.store = nil // the summary is what is remembered
	s := &compactStream{r: r}
	s.inner = &stream{r: &inner, id: "resp_" + r.options.NewID(), calls: map[int]*openCall{}}
	return s
}

// compactStream collects the summary while it is written, and sends the response's
// beginning, the single compaction, and the end.
type compactStream struct {
	r     *compactReply
	inner *stream
	text  strings.Builder
	seq   int
	err   error
}

// Event implements dialect.Stream.
func (s *compactStream) Event(ev sse.Event, emit func(sse.Event)) error {
	return s.inner.Event(ev, s.filter(emit))
}

// End implements dialect.Stream.
func (s *compactStream) End(cause error, emit func(sse.Event)) error {
	if err := s.inner.End(cause, s.filter(emit)); err != nil {
		return err
	}
	return s.err
}

func (s *compactStream) filter(emit func(sse.Event)) func(sse.Event) {
	return func(ev sse.Event) {
		switch ev.Name {
		case "", "response.created", "response.in_progress", "response.failed":
			if ev.Name != "" {
				s.seq++
			}
			emit(ev)
		case "response.output_text.delta":
			s.text.WriteString(jsonscan.Raw(ev.Data).Get("delta").String().Text())
		case "response.completed", "response.incomplete":
			s.finish(jsonscan.Raw(ev.Data).Get("response"), emit)
		}
	}
}

func (s *compactStream) finish(response jsonscan.Value, emit func(sse.Event)) {
	out := s.inner.r.frame(s.inner.id, s.inner.created, s.inner.model, "completed")
	send := func(kind string, fields map[string]any) {
		fields["type"], fields["sequence_number"] = kind, s.seq
		s.seq++
		emit(sse.Event{Name: kind, Data: rawjson.Must(fields)})
	}
	text := strings.TrimSpace(s.text.String())
	if text == "" {
		s.err = dialect.ErrProvider
		f := fault.From(noSummary())
		out.Status, out.Error = "failed", map[string]string{"code": f.Code, "message": f.Message}
		send("response.failed", map[string]any{"response": out})
		return
	}
	s.r.keep(s.inner.id, text)
	it := s.r.item(text)
	send("response.output_item.added", map[string]any{"output_index": 0, "item": it})
	send("response.output_item.done", map[string]any{"output_index": 0, "item": it})
	out.Output = []any{it}
	if usage := response.Get("usage"); usage.Set() {
		out.Usage = usage.JSON()
	}
	send("response.completed", map[string]any{"response": out})
}

// Compact translates requests to /responses/compact into chat completions.
func Compact(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req request
		if err := in.Value().Decode(&req); err != nil {
			return nil, dialect.Unreadable("Responses", err)
		}
		req.Stream = false
		call, err := compact(in, &req, options)
		if err != nil {
			return nil, err
		}
		r := call.Reply.(*compactReply)
		r.whole = true
		for _, it := range req.Input.Elements() {
			if it.Get("role").Is(`"user"`) {
				r.users = append(r.users, userItem(it, options.NewID))
			}
		}
		if text := req.Input.String(); text != nil {
			r.users = []any{userItem(textMessage("user", text.Text()), options.NewID)}
		}
		return call, nil
	}
}

// userItem returns a user message as an output item.
func userItem(it jsonscan.Value, newID func() string) json.RawMessage {
	content := it.Get("content")
	if text := content.String(); text != nil {
		content = jsonscan.Arr([]jsonscan.Value{jsonscan.Obj(member("type", jsonscan.Lit(`"input_text"`)), member("text", jsonscan.Str(text)))})
	}
	return jsonscan.Obj(member("id", jsonscan.Quoted("msg_"+newID())), member("type", jsonscan.Lit(`"message"`)), member("status", jsonscan.Lit(`"completed"`)),
		member("role", jsonscan.Lit(`"user"`)), member("content", content)).JSON()
}

// compact translates a request for a compaction.
func compact(in dialect.Request, req *request, options Options) (*dialect.Call, error) {
	c := &converter{store: options.Store}
	if err := c.instructions(req.Instructions); err != nil {
		return nil, err
	}
	history, err := previous(req, options.Store)
	if err != nil {
		return nil, err
	}
	for _, raw := range history {
		c.messages = append(c.messages, jsonscan.Raw(raw))
	}
	if req.Input.Set() || len(history) == 0 {
		if err := c.input(req.Input); err != nil {
			return nil, err
		}
	}
	out := jsonscan.Obj(member("model", jsonscan.Quoted(in.Model)), member("messages", jsonscan.Arr(transcript(c.messages))))
	put(&out, "max_completion_tokens", req.MaxOutputTokens)
	put(&out, "user", req.User)
	put(&out, "safety_identifier", req.SafetyIdentifier)
	put(&out, "service_tier", req.ServiceTier)
	put(&out, "extra_body", req.ExtraBody)
	if req.Stream {
		out.Put("stream", jsonscan.Lit("true"))
		out.Put("stream_options", jsonscan.Lit(`{"include_usage":true}`))
	}
	call := &dialect.Call{
		Path: "/chat/completions", Header: http.Header{}, Stream: req.Stream, Ignored: c.ignored,
		Reply: &compactReply{reply: &reply{options: options, req: req, store: options.Store}},
	}
	call.SetChat(in, out)
	return call, nil
}
