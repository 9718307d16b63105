package plan

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// Prepare builds the request for a plan: the caller's own bytes with the model replaced, or
// a translation. In the latter case, call translates the response back.
func (r *Request) Prepare(p *Plan) (req *upstream.Request, call *dialect.Call, err error) {
	r.DropUsage, r.Ignored, r.Watch = false, nil, r.watch(p)
	header := upstream.RequestHeader(r.HTTP.Header)
	r.SetAttributes(p.To.Provider.Name, header)
	if p.Translate != nil {
		return r.prepareTranslated(p, header)
	}
	req = &upstream.Request{Endpoint: p.Endpoint, Method: r.Call.Method, Path: r.Matched.Path, Query: r.query(), Upload: r.Matched.Upload, Header: header}
	switch {
	case r.Form != nil:
		upstream.ForceIdentity(header)
		var grew int
		req.Stream, grew = r.Form.Replay(p.To.Model)
		if req.Size = r.HTTP.ContentLength; req.Size >= 0 {
			req.Size += int64(grew)
		}
		return req, nil, nil
	case r.Envelope != nil:
		upstream.ForceIdentity(header)
		r.editBody(p, req)
		req.Repeatable = r.Matched.Generates()
	case r.Matched.ModelAt == endpoint.InPath:
		upstream.ForceIdentity(header)
		r.editPath(p, req)
		req.Body, req.Repeatable = r.geminiBody(p), r.BodyRead
	default:
		upstream.LimitAcceptEncoding(header)
		req.Body = r.Call.Body
	}
	if r.BodyRead {
		req.Body = r.repaired(p, req.Body)
		req.Lease = &r.Lease
		r.Lease.Reuse()
		delete(header, "Content-Encoding") // the body was decoded when it was read
		if r.Envelope != nil || r.Matched.ModelAt == endpoint.InPath {
			delete(header, "Expect")
		}
	} else if r.HTTP.ContentLength != 0 && r.HTTP.Body != nil {
		req.Stream, req.Size = r.HTTP.Body, r.HTTP.ContentLength
	}
	return req, nil, nil
}

// editBody replaces the model in the body by the candidate's. On chat streams it also
// requests the usage, if the caller did not.
func (r *Request) editBody(p *Plan, req *upstream.Request) {
	usage := false
	switch r.Matched.Kind {
	case endpoint.Chat, endpoint.Completions:
		if r.Call.Stream && p.To.Provider.IncludeUsage && !r.Settings.StreamUsageOff {
			usage = r.Envelope.AddsUsage()
			r.DropUsage = usage
		}
	}
	model := p.To.Model
	if r.Matched.Dialect == dialect.Gemini && strings.HasPrefix(r.Envelope.Model, GeminiModels) {
		model = GeminiModels + model
	}
	edits := r.withoutForeignThinking(p)
	if r.Matched.Kind == endpoint.Chat && p.To.Provider.ChatFacts().MarksCache(p.To.Model) {
		if marks := r.Envelope.MarksCache(); marks != nil {
			edits = append(edits, marks...)
			r.Ignored = dialect.Ignore(r.Ignored, "cache_control")
		}
	}
	req.Body = r.Envelope.WithModel(model, usage, edits...)
}

// editPath replaces the model in the path by the candidate's.
func (r *Request) editPath(p *Plan, req *upstream.Request) {
	switch {
	case r.Matched.Dialect != dialect.Gemini:
		req.Path = "/models/" + pathEscape(p.To.Model)
	case strings.HasPrefix(p.To.Model, "tunedModels/"):
		req.Path = "/" + pathEscape(p.To.Model) + ":" + pathEscape(r.Verb)
	default:
		req.Path = "/models/" + pathEscape(p.To.Model) + ":" + pathEscape(r.Verb)
	}
}

// query returns the part of the caller's query that may be forwarded.
func (r *Request) query() string {
	return upstream.Query(r.HTTP.URL.RawQuery, r.Matched.Dialect == dialect.Gemini)
}

// prepareTranslated builds the request in the provider's dialect.
func (r *Request) prepareTranslated(p *Plan, header http.Header) (*upstream.Request, *dialect.Call, error) {
	r.Lease.Keep() // conversations and streams may keep a part of the body
	call, err := p.Translate(dialect.Request{
		Model: p.To.Model, Provider: p.To.Provider.Name, Stream: r.Call.Stream, Header: header, Body: r.Call.Body,
	})
	if err != nil {
		return nil, nil, err
	}
	r.Ignored = call.Ignored
	if err := r.checkTranslated(p.To, call.Body); err != nil {
		return nil, nil, err
	}
	call.Body = r.repaired(p, call.Body)
	for name := range header {
		// These belong to the caller's dialect, which the provider does not use.
		for _, own := range [...]string{"Anthropic-", "Openai-", "X-Goog-"} {
			if strings.HasPrefix(name, own) {
				delete(header, name)
			}
		}
	}
	for name, values := range call.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	upstream.ForceIdentity(header)
	for _, name := range []string{"Content-Encoding", "Expect", "Accept"} {
		delete(header, name)
	}
	header["Content-Type"] = []string{"application/json"}
	return &upstream.Request{Endpoint: p.Endpoint, Method: http.MethodPost, Path: call.Path, Header: header, Body: call.Body, Repeatable: true}, call, nil
}

// checkTranslated checks a translated request again if the token is limited to certain
// models, because extra_body may have added members that the request itself could not have.
func (r *Request) checkTranslated(to *pipeline.Candidate, data []byte) error {
	if !r.Limited() {
		return nil
	}
	b, err := body.Parse(data)
	if err != nil {
		return err
	}
	if name := strings.TrimPrefix(b.Model, GeminiModels); name != "" && name != to.Model {
		return &fault.Error{Kind: fault.Scope, Message: "extra_body must not change the model: this bridge token is limited to certain models", Param: "model", Code: "model_not_allowed"}
	}
	return r.CheckModels(b)
}

// pathEscape escapes the name of a model for a path, except its slashes.
func pathEscape(s string) string { return strings.ReplaceAll(url.PathEscape(s), "%2F", "/") }
