package control

import (
	"context"
	"net/http"
	"net/url"
)

// AppOutput answers GET /apps/{name}/output.
type AppOutput struct {
	Name  string   `json:"name"`
	State string   `json:"state"` // as in GET /routes; exited for the last run of a name that has no route any more
	Exit  *int     `json:"exit"`  // how it ended, where it has
	Lines []string `json:"lines"` // oldest first, at most 40
}

// getOutput gives the last lines that an app printed: below a run, those of its own app.
func (s *Server) getOutput(w http.ResponseWriter, r *http.Request) {
	_, err := s.appsFor(r, r.PathValue("name"))
	var out AppOutput
	if err == nil {
		out, err = s.output(r.Context(), r.PathValue("name"))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out.Lines = append([]string{}, out.Lines...)
	answer(w, out)
}

// Output gives the last lines that an app printed. An app that is not known is
// fault.NotFound.
func (c *Client) Output(ctx context.Context, name string) (o AppOutput, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/apps/"+url.PathEscape(name)+"/output", nil, &o)
	return o, err
}
