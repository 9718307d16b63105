package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Script has the models of several stand-ins work on one task together: each request that
// offers a shell is answered with the next step's command, until the steps that are due
// are done. A request for a summary of the conversation, by which agents make room, gets
// one. It is safe for concurrent use.
type Script struct {
	// Command is the shell's command of a step, which counts from 1.
	Command func(step int) string
	// Tool names a tool that is called instead of the shell; "" is the shell.
	Tool string

	mu       sync.Mutex
	step     int
	until    int
	overflow int // before which step the conversation is too long
	tooLong  bool
	large    int // behind which step the context is told to be nearly full
	summed   int
}

// Until has the models work up to a step.
func (s *Script) Until(step int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = step
}

// OverflowBefore has the conversation be too long before a step, until it was summed up.
func (s *Script) OverflowBefore(step int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overflow = step
}

// LargeBehind has the context be told to be nearly full, in the usage of a step's answer,
// by which agents that count make room themselves.
func (s *Script) LargeBehind(step int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.large = step
}

// largePrompt are the tokens of a context that is nearly full.
const largePrompt = 900_000

// Progress gives the steps that were begun and how often the conversation was summed up.
func (s *Script) Progress() (steps, summaries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.step, s.summed
}

// Follow has a stand-in follow a script.
func (s *Server) Follow(script *Script) { s.script = script }

// scene is what a script says of one request.
type scene struct {
	text    string // the answer, where there is no call
	tool    string
	args    map[string]any
	id      int // of the call
	tooLong bool
	large   bool
}

// summaries are the words of agents that ask for a summary: Claude Code's, Codex's and
// Gemini CLI's.
var summaries = []string{"detailed summary of", "CONTEXT CHECKPOINT COMPACTION", "state_snapshot"}

// scripted gives what a script says of a request; ok is false where there is none, or the
// request is none of an agent's turns.
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

// asksForSummary looks at the instructions and the last turn of a request.
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
