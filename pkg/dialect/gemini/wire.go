package gemini

import (
	"encoding/json"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// The API's own shapes, as far as the translations read and write them.

type content struct {
	Role  string `json:"role,omitempty"`
	Parts []part `json:"parts"`
}

type part struct {
	Text                *json.RawMessage  `json:"text,omitempty"` // kept encoded: it passes through as it is
	Thought             bool              `json:"thought,omitempty"`
	InlineData          *blob             `json:"inlineData,omitempty"`
	FileData            *fileData         `json:"fileData,omitempty"`
	FunctionCall        *functionCall     `json:"functionCall,omitempty"`
	FunctionResponse    *functionResponse `json:"functionResponse,omitempty"`
	ExecutableCode      *executableCode   `json:"executableCode,omitempty"`
	CodeExecutionResult *codeResult       `json:"codeExecutionResult,omitempty"`
	ThoughtSignature    string            `json:"thoughtSignature,omitempty"`
}

type blob struct {
	MimeType    string `json:"mimeType"`
	Data        string `json:"data"`
	DisplayName string `json:"displayName,omitempty"`
}

type fileData struct {
	MimeType string `json:"mimeType,omitempty"`
	FileURI  string `json:"fileUri"`
}

type functionCall struct {
	ID   string          `json:"id,omitempty"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"`
}

type functionResponse struct {
	ID       string          `json:"id,omitempty"`
	Name     string          `json:"name"`
	Response json.RawMessage `json:"response"`
	Parts    []part          `json:"parts,omitempty"`
}

type executableCode struct {
	Language string `json:"language"`
	Code     string `json:"code"`
}

type codeResult struct {
	Outcome string `json:"outcome"`
	Output  string `json:"output"`
}

// answer is a GenerateContentResponse: a whole one, or one event of a stream.
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

func textPart(s string) part {
	raw := json.RawMessage(rawjson.Quote(s))
	return part{Text: &raw}
}

// usage is the middle's.
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
}

func (u *usageMetadata) middle() usage {
	var out usage
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
