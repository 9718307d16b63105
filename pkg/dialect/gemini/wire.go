package gemini

import (
	"encoding/json"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Types of the API, with the members that the translations read and write.

type content struct {
	Role  string `json:"role"`
	Parts []part `json:"parts"`
}

// part is one part of a content. Text and data are JSON strings as in the original
// body: they are copied once, into the result.
type part struct {
	Text                jsonscan.String   `json:"text"` // nil if the part is something else
	Thought             bool              `json:"thought"`
	InlineData          *blob             `json:"inlineData"`
	FileData            *fileData         `json:"fileData"`
	FunctionCall        *functionCall     `json:"functionCall"`
	FunctionResponse    *functionResponse `json:"functionResponse"`
	ExecutableCode      *executableCode   `json:"executableCode"`
	CodeExecutionResult *codeResult       `json:"codeExecutionResult"`
	ThoughtSignature    string            `json:"thoughtSignature"`
}

type blob struct {
	MimeType    string          `json:"mimeType"`
	Data        jsonscan.String `json:"data"`
	DisplayName string          `json:"displayName"`
}

type fileData struct {
	MimeType string `json:"mimeType"`
	FileURI  string `json:"fileUri"`
}

type functionCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

type functionResponse struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Response json.RawMessage `json:"response"`
	Parts    json.RawMessage `json:"parts"` // a list of parts

	// lines are the texts of a tool's result that is not an object, written as
	// {"content":"…"} if there is no Response.
	lines []jsonscan.String
}

type executableCode struct {
	Language string `json:"language"`
	Code     string `json:"code"`
}

type codeResult struct {
	Outcome string `json:"outcome"`
	Output  string `json:"output"`
}

// answer is a GenerateContentResponse: a complete one, or one event of a stream.
type answer struct {
	Candidates     []candidate     `json:"candidates"`
	PromptFeedback *feedback       `json:"promptFeedback"`
	Usage          *usageMetadata  `json:"usageMetadata"`
	ModelVersion   string          `json:"modelVersion"`
	ResponseID     string          `json:"responseId"`
	Error          json.RawMessage `json:"error"`
}

type candidate struct {
	Content       content   `json:"content"`
	FinishReason  string    `json:"finishReason"`
	FinishMessage string    `json:"finishMessage"`
	Index         int       `json:"index"`
	Logprobs      *logprobs `json:"logprobsResult"`

	Grounding *grounding `json:"groundingMetadata"`
	Read      *readPages `json:"urlContextMetadata"`
}

type feedback struct {
	BlockReason        string `json:"blockReason"`
	BlockReasonMessage string `json:"blockReasonMessage"`
}

type usageMetadata struct {
	Prompt     int `json:"promptTokenCount"`
	Candidates int `json:"candidatesTokenCount"`
	Thoughts   int `json:"thoughtsTokenCount,omitempty"`
	Cached     int `json:"cachedContentTokenCount,omitempty"`
	ToolPrompt int `json:"toolUsePromptTokenCount,omitempty"`
	Total      int `json:"totalTokenCount"`
}

type logprobs struct {
	Top []struct {
		Candidates []logprob `json:"candidates"`
	} `json:"topCandidates"`
	Chosen []logprob `json:"chosenCandidates"`
}

type logprob struct {
	Token       string          `json:"token"`
	Probability json.RawMessage `json:"logProbability"`
}

func textPart(s string) part { return part{Text: jsonscan.Quote(s)} }

// usage is the usage of chat completions.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	PromptMore struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionMore struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
	Tools *dialect.ToolUse `json:"server_tool_use,omitempty"`
}

// chat returns the usage in the form of chat completions, with the number of
// searches.
func (u *usageMetadata) chat(searches int) usage {
	var out usage
	if searches > 0 {
		out.Tools = &dialect.ToolUse{Searches: int64(searches)}
	}
	out.Prompt = u.Prompt + u.ToolPrompt
	out.Completion = u.Candidates + u.Thoughts
	out.Total = u.Total
	if out.Total == 0 {
		out.Total = out.Prompt + out.Completion
	}
	out.PromptMore.Cached = u.Cached
	out.CompletionMore.Reasoning = u.Thoughts
	return out
}

func (u *usage) native() *usageMetadata {
	out := &usageMetadata{
		Prompt: u.Prompt, Candidates: max(0, u.Completion-u.CompletionMore.Reasoning), Thoughts: u.CompletionMore.Reasoning,
		Cached: u.PromptMore.Cached, Total: u.Total,
	}
	if out.Total == 0 {
		out.Total = u.Prompt + u.Completion
	}
	return out
}
