package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Script makes the models of several stand-ins work on one task: each request that offers
// a shell gets the command of the next step, until the current steps are done. A request
// to summarize the conversation, which agents send to free context, gets a summary. It is
// safe for concurrent use.
type Script struct {
	// Command returns the shell command for a step, counted from 1.
	Command func(step int) string
	// Tool is the name of a tool that is called instead of the shell; "" means the shell.
	Tool string

	mu       sync.Mutex
	step     int
	until    int
	overflow int // the step before which the conversation is too long
	tooLong  bool
	large    int // the step after which the context is reported as nearly full
	summed   int
}

// Until makes the models work up to a step.
func (s *Script) Until(step int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = step
}

// OverflowBefore makes the conversation too long before a step, until it is summarized.
func (s *Script) OverflowBefore(step int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overflow = step
}

// LargeBehind reports a nearly full context in the usage of a step's response, which
// makes agents that count tokens compact the conversation.
func (s *Script) LargeBehind(step int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.large = step
}

// largePrompt is the number of tokens of a nearly full context.
const largePrompt = 900_000

// Progress returns the number of steps that were started and of summaries.
func (s *Script) Progress() (steps, summaries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.step, s.summed
}

// Follow makes a stand-in follow a script.
func (s *Server) Follow(script *Script) { s.script = script }

// scene is a script's answer to one request.
type scene struct {
	text    string // the text, if there is no call
	tool    string
	args    map[string]any
	id      int // id of the call
	tooLong bool
	large   bool
}

// summaries are the texts with which Claude Code, Codex and Gemini CLI ask for a summary.
var summaries = []string{"detailed summary of", "CONTEXT CHECKPOINT COMPACTION", "state_snapshot"}

// scripted returns the script's answer to a request. ok is false if there is none, or the
// request is not a turn of an agent.
func scripted(r *http.Request, req map[string]any, tools []any, read func(map[string]any) (string, any)) (sc scene, ok bool) {
	server, _ := r.Context().Value(serverKey{}).(*Server)
	if server == nil || server.script == nil {
		return sc, false
	}
	s := server.script
	s.mu.Lock()
	defer s.mu.Unlock()
	if asksForSummary(req) {
		s.summed++
		s.tooLong = false
		return scene{text: fmt.Sprintf("<analysis>Short.</analysis>\n<summary>%d steps are done.</summary>\n<state_snapshot><overall_goal>%d steps are done.</overall_goal></state_snapshot>", s.step, s.step)}, true
	}
	name, schema := pick(tools, read)
	if !slices.Contains(shells, name) {
		return sc, false
	}
	for _, t := range objects(tools) {
		if other, s := read(t); other == server.script.Tool && other != "" {
			name, schema = other, s
		}
	}
	if s.overflow == s.step+1 {
		s.overflow, s.tooLong = 0, true
	}
	switch {
	case s.tooLong:
		return scene{tooLong: true}, true
	case s.step >= s.until:
		return scene{text: fmt.Sprintf("The steps up to %d are done.", s.step)}, true
	}
	s.step++
	large := s.step == s.large
	return scene{tool: name, args: toolArguments("run: `"+s.Command(s.step)+"`", name, schema), id: s.step, large: large}, true
}

// asksForSummary examines the instructions and the last turn of a request.
func asksForSummary(req map[string]any) bool {
	var turns []any
	for _, name := range []string{"messages", "contents", "input"} {
		turns = append(turns, list(req[name])...)
	}
	asked := []any{req["system"], req["systemInstruction"], req["instructions"], lastTurn(turns)}
	for _, turn := range turns {
		if m := object(turn); str(m, "role") == "system" || str(m, "role") == "developer" {
			asked = append(asked, m)
		}
	}
	words, _ := json.Marshal(asked)
	return slices.ContainsFunc(summaries, func(s string) bool { return strings.Contains(string(words), s) })
}
