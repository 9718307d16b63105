package mcp

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// commandsIn returns the commands of Hostless in a page: in code spans and in indented
// lines, which may have several with commas between them and an explanation behind.
func commandsIn(text string) (out []string) {
	text = strings.ReplaceAll(text, "claude mcp add hostless -- hostless mcp", "")
	for _, m := range regexp.MustCompile("`(hostless [^`]+)`").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "    hostless ") {
			continue
		}
		line, _, _ = strings.Cut(strings.TrimSpace(line), "  ")
		for _, one := range strings.Split(line, ", ") {
			out = append(out, strings.TrimSpace(one))
		}
		if _, then, ok := strings.Cut(line, "then: "); ok {
			out = append(out, then)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestSkillCommands runs every command that the page for agents names, as an agent would.
func TestSkillCommands(t *testing.T) {
	d := harness.Start(t)
	ask(t, d)
	app := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(app.Close)
	id, _, _ := strings.Cut(strings.TrimSpace(strings.Split(d.Must("log", "-n", "1", "--json"), `"id":"`)[1]), `"`)
	server := []string{"sh", "-c", "echo it listens; exec sleep 600"}
	// In this order; none says that nothing may be printed.
	runs := []struct {
		named  string
		args   []string
		prints string
	}{
		{"hostless run NAME -- CMD…", []string{"run", "front", "--", "printenv", "HOSTLESS_URL"}, "http://front.localhost:"},
		{"hostless run NAME --detach -- CMD…", append([]string{"run", "back", "--detach", "--"}, server...), ""},
		{"hostless list --json", []string{"list", "--json"}, `"app_name":"back"`},
		{"hostless list", []string{"list"}, "back"},
		{"hostless logs NAME", []string{"logs", "back"}, "it listens"},
		{"hostless restart NAME", []string{"restart", "back"}, ""},
		{"hostless wait NAME", []string{"wait", "back", "--timeout", "1s"}, ""},
		{"hostless stop NAME", []string{"stop", "back"}, ""},
		{"hostless token create --name WHY --json", []string{"token", "create", "--name", "why", "--json"}, `"token":"sk_local_`},
		{"hostless log -n 20", []string{"log", "-n", "20"}, "echo/text"},
		{"hostless log show ID", []string{"log", "show", id}, id},
		{"hostless log --apps --app NAME -n 20", []string{"log", "--apps", "--app", "back", "-n", "20"}, ""},
		{"hostless spend today --by app", []string{"spend", "today", "--by", "app"}, "total"},
		{"hostless status", []string{"status"}, d.Port},
		{"hostless doctor", []string{"doctor"}, "daemon"},
		{"hostless mcp --print-config", []string{"mcp", "--print-config"}, "claude mcp add"},
	}
	var known []string
	for _, run := range runs {
		known = append(known, run.named)
		r := d.CLI(run.args...)
		// Nothing listens in this sandbox, and doctor may find something.
		if fails := slices.Contains([]string{"wait", "doctor", "restart"}, run.args[0]); r.Code == 2 || r.Code != 0 && !fails || !strings.Contains(strings.ToLower(r.Stdout), strings.ToLower(run.prints)) {
			t.Errorf("%s: exit %d, %q %q", run.named, r.Code, r.Stdout, r.Stderr)
		}
	}
	for _, named := range commandsIn(d.CLI("skill").Stdout) {
		switch named {
		case "hostless run", "hostless mcp": // the command by its name; see the other tests
			continue
		}
		if named, _, _ = strings.Cut(named, "; then"); !slices.Contains(known, named) {
			t.Errorf("the page names %q, which no test runs", named)
		}
	}
}
