package proxy

import (
	"maps"
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/apps/errpage"
)

// Home shows what is running to a person who opens the gateway's own address in a
// browser. All other requests go to next.
func (h *Handler) Home(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case r.URL.Path != "/" || r.Method != http.MethodGet || !errpage.WantsHTML(r),
			site != "" && r.Header.Get("Sec-Fetch-Dest") != "document": // not for frames and scripts of other pages
			next.ServeHTTP(w, r)
			return
		}
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		page := &errpage.Page{
			Status: http.StatusOK, Host: r.Host, Title: "Hostless is running",
			Lead:     "Apps are served under the names below; the models' API is at " + scheme + "://" + r.Host + "/v1.",
			Note:     "To start an app, and to send a first request to a model that needs no key:",
			Commands: []string{"hostless run my-app -- npm run dev", `curl ` + scheme + `://` + r.Host + `/v1/chat/completions -H "Authorization: Bearer $(hostless token create --name first)" -d '{"model":"echo/text","messages":[{"role":"user","content":"hello"}]}'`},
			Others:   h.others(""),
		}
		page.AddFact("Apps", strconv.Itoa(h.cfg.Table.Len()))
		status, header, body := page.Render(r)
		header.Del("X-Hostless-Error")
		maps.Copy(w.Header(), header)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		w.Write(body)
	})
}
