package plan

import (
	"fmt"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/prices"
)

// checkPurpose returns an error for a conversation with a model that generates no text.
func (r *Request) checkPurpose(to *pipeline.Candidate) error {
	if !r.converses() || r.Call.Model == "" {
		return nil
	}
	p := r.purpose(to)
	if p == prices.Text {
		return nil
	}
	message := fmt.Sprintf("model %q of provider %q %s", respond.HeaderSafe(to.Model), to.Provider.Name, p.Makes)
	if p.Path != "" {
		message += ": use " + p.Path
	}
	return &fault.Error{Kind: fault.Invalid, Message: message, Param: "model", Code: "unsupported_endpoint"}
}

// converses reports whether the request asks for the next turn of a conversation.
func (r *Request) converses() bool {
	switch r.Matched.Kind {
	case endpoint.Chat:
		return true
	case endpoint.Generate:
		switch r.Matched.Pattern {
		case "/v1/responses", "/v1/messages", "/api/chat", "/api/generate":
			return true
		}
		return r.Verb == "generateContent" || r.Verb == "streamGenerateContent"
	}
	return false
}

// purpose returns the purpose of a candidate's model. The provider's list takes precedence
// over the model's name, which says nothing about the models of a custom provider.
func (r *Request) purpose(to *pipeline.Candidate) prices.Purpose {
	if listed := r.Planner.cfg.Lists.Purpose(to.Provider.Name, to.Model); listed != nil {
		return *listed
	}
	if to.Provider.Custom {
		return prices.Text
	}
	return prices.PurposeOf(to.Provider.Name, to.Model)
}
