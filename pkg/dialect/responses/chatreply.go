package responses

import (
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// chatReply translates a response into a chat completion.
type chatReply struct {
	options  UpstreamOptions
	model    string // as the client requested it
	provider string
	legacy   bool // calls are returned as function_call
	usage    bool // the stream ends with the usage
}

// upResponse is the part of a response that the translation reads.
type upResponse struct {
	ID         string         `json:"id"`
	CreatedAt  float64        `json:"created_at"`
	Model      string         `json:"model"`
	Status     string         `json:"status"`
	Output     []upItem       `json:"output"`
	Usage      *usageCounts   `json:"usage"`
	Error      jsonscan.Value `json:"error"`
	Incomplete struct {
		Reason string `json:"reason"`
	} `json:"incomplete_details"`
	ServiceTier jsonscan.Value `json:"service_tier"`
}

// upItem is an item of a provider's output.
type upItem struct {
	Type      string          `json:"type"`
	ID        string          `json:"id"`
	CallID    string          `json:"call_id"`
	Name      jsonscan.String `json:"name"`
	Arguments jsonscan.String `json:"arguments"`
	Input     jsonscan.String `json:"input"`
	Encrypted jsonscan.String `json:"encrypted_content"`
	Summary   []upPart        `json:"summary"`
	Action    searchAction    `json:"action"` // of a web search
	Content   []upPart        `json:"content"`
}

type upPart struct {
	Type        string          `json:"type"`
	Text        jsonscan.String `json:"text"`
	Refusal     jsonscan.String `json:"refusal"`
	Annotations jsonscan.Value  `json:"annotations"`
	Logprobs    jsonscan.Value  `json:"logprobs"`
}

// usageCounts is the usage of the Responses API.
type usageCounts struct {
	Input   int64 `json:"input_tokens"`
	Output  int64 `json:"output_tokens"`
	Total   int64 `json:"total_tokens"`
	Details struct {
		Cached  int64 `json:"cached_tokens"`
		Written int64 `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	OutputDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
}

// appendChat appends the usage in the form of chat completions. searches is the
// number of web searches in the response.
func (u *usageCounts) appendChat(b []byte, searches int) []byte {
	if u == nil {
		return append(b, "null"...)
	}
	total := u.Total
	if total == 0 {
		total = u.Input + u.Output
	}
	b = strconv.AppendInt(append(b, `{"prompt_tokens":`...), u.Input, 10)
	b = strconv.AppendInt(append(b, `,"completion_tokens":`...), u.Output, 10)
	b = strconv.AppendInt(append(b, `,"total_tokens":`...), total, 10)
	b = strconv.AppendInt(append(b, `,"prompt_tokens_details":{"cached_tokens":`...), u.Details.Cached, 10)
	if u.Details.Written > 0 {
		b = strconv.AppendInt(append(b, `,"cache_write_tokens":`...), u.Details.Written, 10)
	}
	b = strconv.AppendInt(append(b, `},"completion_tokens_details":{"reasoning_tokens":`...), u.OutputDetails.Reasoning, 10)
	b = append(b, '}')
	if searches > 0 {
		b = strconv.AppendInt(append(b, `,"server_tool_use":{"web_search_requests":`...), int64(searches), 10)
		b = append(b, '}')
	}
	return append(b, '}')
}

// finishReason returns chat's finish reason for the end of a response.
func (r *upResponse) finishReason(calls, legacy bool) string {
	switch {
	case r.Incomplete.Reason == "content_filter":
		return "content_filter"
	case r.Status == "incomplete":
		return "length"
	case calls && legacy:
		return "function_call"
	case calls:
		return "tool_calls"
	}
	return "stop"
}

// spokenTurn collects the message of a completion from the items of a response.
type spokenTurn struct {
	reply                     *chatReply
	texts, refusals, thoughts []jsonscan.String
	details, annotations      []jsonscan.Value
	logprobs, calls           []jsonscan.Value
	pending                   []string // encrypted reasoning before an item that has not arrived yet
	characters                int      // number of characters of text, for the positions of annotations
	searches                  []dialect.Search
	hasText                   bool
}

func (t *spokenTurn) item(it *upItem) {
	switch it.Type {
	case "reasoning":
		t.thoughts = appendThoughts(t.thoughts, it)
		if !it.Encrypted.Empty() {
			t.pending = append(t.pending, it.Encrypted.Text())
		}
		return
	case "message":
		t.flush("")
		for i := range it.Content {
			t.part(&it.Content[i])
		}
	case "web_search_call":
		t.searches = append(t.searches, it.Action.entries()...)
	case "function_call", "custom_tool_call":
		t.flush(it.CallID)
		t.calls = append(t.calls, chatCallOf(it, t.reply.legacy))
	}
}

// appendThoughts appends the text of an item's summary, or of its reasoning if the
// provider shows that, in paragraphs.
func appendThoughts(thoughts []jsonscan.String, it *upItem) []jsonscan.String {
	parts := it.Summary
	if len(parts) == 0 {
		parts = it.Content
	}
	for i := range parts {
		if !parts[i].Text.Empty() {
			thoughts = append(thoughts, parts[i].Text)
		}
	}
	return thoughts
}

func (t *spokenTurn) part(p *upPart) {
	if !p.Refusal.Empty() {
		t.refusals = append(t.refusals, p.Refusal)
	}
	if p.Text == nil {
		return
	}
	t.hasText = true
	for _, a := range p.Annotations.Elements() {
		if a = chatAnnotation(a, t.characters); !a.Absent() {
			t.annotations = append(t.annotations, a)
		}
	}
	for _, l := range p.Logprobs.Elements() {
		t.logprobs = append(t.logprobs, l)
	}
	t.texts = append(t.texts, p.Text)
	t.characters += len([]rune(p.Text.Text()))
}

// flush adds the reasoning that came before an item.
func (t *spokenTurn) flush(before string) {
	t.details = append(t.details, t.reply.encrypted(t.pending, before)...)
	t.pending = nil
}

// encrypted returns pieces of reasoning as elements of reasoning_details, and
// remembers them by the call that follows them.
func (r *chatReply) encrypted(pieces []string, before string) (details []jsonscan.Value) {
	for _, data := range pieces {
		details = append(details, openai.Encrypted{Provider: r.provider, Data: data, Before: before}.Detail())
	}
	if n := len(pieces); n > 0 && before != "" && r.options.Recall != nil {
		r.options.Recall.Put(r.provider+" "+before, pieces[n-1])
	}
	return details
}

// chatCallOf returns a call in the form of chat completions.
func chatCallOf(it *upItem, legacy bool) jsonscan.Value {
	if it.Type == "custom_tool_call" {
		custom := jsonscan.Obj(member("name", orEmpty(it.Name)), member("input", orEmpty(it.Input)))
		return jsonscan.Obj(member("id", jsonscan.Quoted(it.CallID)), member("type", jsonscan.Lit(`"custom"`)), member("custom", custom))
	}
	arguments := it.Arguments
	if arguments.Blank() {
		arguments = jsonscan.String(`"{}"`)
	}
	function := jsonscan.Obj(member("name", orEmpty(it.Name)), member("arguments", jsonscan.Str(arguments)))
	if legacy {
		return function
	}
	return jsonscan.Obj(member("id", jsonscan.Quoted(it.CallID)), member("type", jsonscan.Lit(`"function"`)), member("function", function))
}

// chatAnnotation converts a link to the form of chat completions. from is the
// position of its text. The value is absent for other annotations.
func chatAnnotation(a jsonscan.Value, from int) jsonscan.Value {
	if !a.Get("type").Is(`"url_citation"`) {
		return jsonscan.Value{}
	}
	citation := jsonscan.Obj()
	for name, value := range a.Members() {
		if name == "start_index" || name == "end_index" {
			if n, err := strconv.Atoi(string(value.JSON())); err == nil {
				value = jsonscan.Raw(strconv.AppendInt(nil, int64(n+from), 10))
			}
		}
		if name != "type" {
			citation.Put(name, value.Compact())
		}
	}
	return jsonscan.Obj(member("type", jsonscan.Lit(`"url_citation"`)), member("url_citation", citation))
}

// message returns the completion's message.
func (t *spokenTurn) message() jsonscan.Value {
	m := jsonscan.Obj(member("role", jsonscan.Lit(`"assistant"`)), member("content", jsonscan.Lit("null")), member("refusal", jsonscan.Lit("null")))
	if t.hasText || len(t.calls) == 0 && len(t.refusals) == 0 {
		m.Put("content", jsonscan.Join("", t.texts...))
	}
	if len(t.refusals) > 0 {
		m.Put("refusal", jsonscan.Join("", t.refusals...))
	}
	if t.annotations != nil {
		m.Put("annotations", jsonscan.Arr(t.annotations))
	}
	if len(t.searches) > 0 {
		m.Put("web_searches", jsonscan.Raw(rawjson.Must(titled(t.searches, t.annotations))))
	}
	if len(t.thoughts) > 0 {
		m.Put("reasoning_content", jsonscan.Join("\n\n", t.thoughts...))
	}
	if t.details != nil {
		m.Put("reasoning_details", jsonscan.Arr(t.details))
	}
	switch {
	case len(t.calls) > 0 && t.reply.legacy:
		m.Put("function_call", t.calls[0])
	case len(t.calls) > 0:
		m.Put("tool_calls", jsonscan.Arr(t.calls))
	}
	return m
}

// Body translates one response.
func (r *chatReply) Body(body []byte) ([]byte, error) {
	var resp upResponse
	if err := jsonscan.Decode(body, &resp); err != nil {
		return nil, unreadableResponse(err)
	}
	if resp.Error.Set() || resp.Status == "failed" {
		code, message := failed(resp.Error)
		return nil, &fault.Error{Kind: fault.Upstream, Code: code, Message: message}
	}
	t := &spokenTurn{reply: r}
	for i := range resp.Output {
		t.item(&resp.Output[i])
	}
	t.flush("")
	if resp.Model == "" {
		resp.Model = r.model
	}
	logprobs := jsonscan.Lit("null")
	if t.logprobs != nil {
		logprobs = jsonscan.Obj(member("content", jsonscan.Arr(t.logprobs)), member("refusal", jsonscan.Lit("null")))
	}
	choice := jsonscan.Obj(member("index", jsonscan.Lit("0")), member("message", t.message()), member("logprobs", logprobs),
		member("finish_reason", jsonscan.Quoted(resp.finishReason(len(t.calls) > 0, r.legacy))))
	out := jsonscan.Obj(member("id", jsonscan.Quoted(r.id(resp.ID))), member("object", jsonscan.Lit(`"chat.completion"`)),
		member("created", jsonscan.Raw(strconv.AppendInt(nil, r.created(resp.CreatedAt), 10))), member("model", jsonscan.Quoted(resp.Model)),
		member("choices", jsonscan.Arr([]jsonscan.Value{choice})), member("usage", jsonscan.Raw(resp.Usage.appendChat(nil, queries(t.searches)))))
	put(&out, "service_tier", resp.ServiceTier)
	return out.JSON(), nil
}

func (r *chatReply) id(id string) string {
	if id == "" {
		return "chatcmpl-" + r.options.NewID()
	}
	return id
}

func (r *chatReply) created(at float64) int64 {
	if at <= 0 {
		return r.options.Now().Unix()
	}
	return int64(at)
}

// Error returns the body unchanged, because both dialects have the same envelope.
func (r *chatReply) Error(_ int, _ http.Header, body []byte) []byte { return body }

// Stream starts the translation of response events into chat chunks.
func (r *chatReply) Stream() dialect.Stream { return &chatStream{r: r, model: r.model} }
