package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestPackageVersion(t *testing.T) {
	commits := func() (string, error) { return "217", nil }
	for described, want := range map[string]string{
		"v1.2.3":                "1.2.3 ",
		"1.2.3":                 "1.2.3 ",
		"v1.2.3-dirty":          "1.2.3 ",
		"v1.2.3-rc.1":           "1.2.3 rc1",
		"v1.2.3-4-gabcdef0":     "1.2.3.4 ",
		"v1.2.3-4-gabc0-dirty":  "1.2.3.4 ",
		"abcdef0":               "0.0.0.217 ",
		"abcdef0123-dirty":      "0.0.0.217 ",
		"dev":                   "",
		"":                      "",
		"v1.2":                  "",
		"v1.2.3; touch /tmp/x":  "",
		"v1.2.3-something-else": "",
	} {
		number, pre, err := packageVersion(described, commits)
		if got := number + " " + pre; (err == nil && got != want) || (err != nil) != (want == "") {
			t.Errorf("packageVersion(%q) = %q, %v, want %q", described, got, err, want)
		}
	}
}

// TestFormula fills in the formula: no placeholder is left, and each checksum belongs to
// the URL before it.
func TestFormula(t *testing.T) {
	t.Chdir("../..")
	r := &release{out: t.TempDir(), version: "v1.2.3", number: "1.2.3"}
	sums := map[string]string{}
	if err := r.formula(sums); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.out, "hostless.rb")
	if _, err := os.Stat(path); err == nil {
		t.Error("a formula was written without checksums")
	}
	for i, p := range platforms {
		sums[r.archiveName(p)+".tar.gz"] = strings.Repeat(string(rune('a'+i)), 64)
	}
	if err := r.formula(sums); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if strings.Contains(text, "@") {
		t.Errorf("a placeholder is left:\n%s", text)
	}
	pairs := regexp.MustCompile(`url "https://github.com/hostless/hostless/releases/download/v1.2.3/([^"]+)"\s+sha256 "([^"]+)"`).FindAllStringSubmatch(text, -1)
	if len(pairs) != len(platforms) {
		t.Fatalf("%d archives, want %d:\n%s", len(pairs), len(platforms), text)
	}
	for _, pair := range pairs {
		if sums[pair[1]] != pair[2] {
			t.Errorf("%s has %s, want %s", pair[1], pair[2], sums[pair[1]])
		}
	}
	for _, line := range []string{"  service do\n", `    run opt_bin/"hostlessd"`, "    keep_alive successful_exit: false\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("the formula lacks %q", line)
		}
	}
}

// TestScripts runs the packages' scripts with the arguments that each package manager
// passes.
func TestScripts(t *testing.T) {
	const upgraded, removed = "hostless service restart", "running daemons are not stopped"
	for _, test := range []struct {
		call string
		want string // "": prints nothing; "start": prints how to start it
	}{
		{"postinstall configure", "start"},        // dpkg
		{"postinstall configure 1.0.0", upgraded}, //
		{"postinstall abort-upgrade 1.0.0", ""},   //
		{"postinstall 1", "start"},                // rpm
		{"postinstall 2", upgraded},               //
		{"postinstall 2.0.0-r1", "start"},         // apk
		{"postinstall 2.0.0-1", "start"},          // pacman
		{"postupgrade 2.0.0-1 1.0.0-1", upgraded}, // apk, pacman
		{"preremove remove", removed},             // dpkg
		{"preremove upgrade 2.0.0", ""},           //
		{"preremove 0", removed},                  // rpm
		{"preremove 1", ""},                       //
		{"preremove 2.0.0-r1", removed},           // apk
	} {
		args := strings.Fields(test.call)
		args[0] = "../scripts/" + args[0]
		out, err := exec.Command("sh", args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", test.call, err, out)
			continue
		}
		text := string(out)
		if test.want == "start" {
			if !strings.Contains(text, "hostless service install") && !strings.Contains(text, "hostless proxy start") || strings.Contains(text, upgraded) {
				t.Errorf("%s prints %q, not how to start it", test.call, text)
			}
			continue
		}
		if (text == "") != (test.want == "") || !strings.Contains(text, test.want) {
			t.Errorf("%s prints %q, want %q", test.call, text, test.want)
		}
	}
}
