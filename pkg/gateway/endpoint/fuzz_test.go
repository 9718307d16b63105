package endpoint

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzMatch checks that no spelling of a path reaches an endpoint other than the one at the
// provider, and that no path of the control API is an endpoint.
func FuzzMatch(f *testing.F) {
	for _, s := range []string{"/v1/chat/completions", "/v1/files/%2e%2e/x", "/v1//models/a%2Fb", "/auth/token", "/v1beta/models/x:generateContent", "/upload/v1beta/files"} {
		f.Add(s, "POST")
	}
	f.Fuzz(func(t *testing.T, path, method string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		e, err := Match(u, method)
		if err != nil || e.Kind == None {
			return
		}
		first := strings.TrimLeft(u.Path, "/")
		ok := false
		for _, prefix := range []string{"v1/", "v1beta/", "upload/", "api/", "messages"} {
			ok = ok || strings.HasPrefix(first, prefix)
		}
		if !ok {
			t.Fatalf("%q is served as %s", path, e.Pattern)
		}
		plain, err := url.PathUnescape(e.Path)
		if err != nil {
			t.Fatalf("%q goes up as %q", path, e.Path)
		}
		for segment := range strings.SplitSeq(plain, "/") {
			if segment == ".." || segment == "." {
				t.Fatalf("%q goes up as %q", path, e.Path)
			}
		}
		again, err := Match(&url.URL{Path: "/" + strings.Join(e.segments, "/")}, method)
		if len(e.segments) > 0 && !strings.Contains(path, "%") && (err != nil || again.Pattern != e.Pattern) {
			t.Fatalf("%q is %s, but its plain form is %+v, %v", path, e.Pattern, again.Pattern, err)
		}
	})
}
