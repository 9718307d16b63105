package control

import (
	"context"
	"net/http"
	"net/url"
)

// AppOutput is the response to GET /apps/{name}/output.
type AppOutput struct {
	Name  string   `json:"name"`
	State string   `json:"state"` // as in GET /routes; exited for the last run of a name without a route
	Exit  *int     `json:"exit"`  // the exit code, if it has ended
	Lines []string `json:"lines"` // oldest first, at most 40
}

// getOutput returns the last lines that an app printed. Inside a run only its own app is
// allowed.
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

// Output returns the last lines that an app printed. The error is fault.NotFound for an
// unknown app.
func (c *Client) Output(ctx context.Context, name string) (o AppOutput, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/apps/"+url.PathEscape(name)+"/output", nil, &o)
	return o, err
}
