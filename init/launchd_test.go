package units_test

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	units "github.com/hostless/hostless/init"
	"github.com/hostless/hostless/test/harness"
)

var agentValues = units.Launchd{
	Label: "dev.hostless.hostlessd", Program: `/opt/a & b/<hostlessd> "1"`, Home: "/Users/a/état 'é'", Control: "/Users/a/h/control.sock",
	Log: "/Users/a/h/logs/hostlessd.log", Port: 4567, WebPorts: []int{80, 443},
}

// agentWant returns the expected content of the agent.
func agentWant() map[string]any {
	tcp := func(family, node, port string) map[string]any {
		return map[string]any{"SockFamily": family, "SockNodeName": node, "SockServiceName": port, "SockType": "stream"}
	}
	loopback := func(port string) []any { return []any{tcp("IPv4", "127.0.0.1", port), tcp("IPv6", "::1", port)} }
	return map[string]any{
		"Label": agentValues.Label, "ProgramArguments": []any{agentValues.Program},
		"EnvironmentVariables": map[string]any{"HOSTLESS_HOME": agentValues.Home, "HOSTLESS_SOCKET": agentValues.Control, "PATH": "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
		"WorkingDirectory":     "/",
		"Sockets": map[string]any{
			"http": loopback("4567"), "web": append(loopback("80"), loopback("443")...),
			"control": map[string]any{"SockPathName": agentValues.Control, "SockPathMode": 0o600, "SockType": "stream"},
		},
		"KeepAlive":          map[string]any{"SuccessfulExit": false},
		"ThrottleInterval":   10,
		"ExitTimeOut":        20,
		"Umask":              0o077,
		"SoftResourceLimits": map[string]any{"Core": 0},
		"HardResourceLimits": map[string]any{"Core": 0},
		"ProcessType":        "Interactive",
		"StandardErrorPath":  agentValues.Log,
	}
}

func TestLaunchdReadsBack(t *testing.T) {
	text, err := units.RenderLaunchd(agentValues)
	if err != nil {
		t.Fatal(err)
	}
	got, err := units.ParsePlist([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := agentWant(); !reflect.DeepEqual(got, want) {
		t.Errorf("read %v\nwant %v", got, want)
	}
}

// TestLaunchdAsOthersReadIt parses the agent with Python's plistlib.
func TestLaunchdAsOthersReadIt(t *testing.T) {
	python := harness.Need(t, "python3")
	text, err := units.RenderLaunchd(agentValues)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", "import plistlib, json, sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(agentWant())
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("plistlib reads %s\nwant %s", out, want)
	}
}

func TestLaunchdRefusesWhatXMLCannotHold(t *testing.T) {
	for _, home := range []string{"/a\x01b", "/a\xffb", "/a\x00b"} {
		v := agentValues
		v.Home = home
		if text, err := units.RenderLaunchd(v); err == nil {
			t.Errorf("%q was accepted:\n%s", home, text)
		}
	}
}

func TestParsePlistRefuses(t *testing.T) {
	for _, text := range []string{
		"", "bplist00", "<plist>", "<plist></plist>", "<plist><string>x</string></plist>", "<plist><dict><key>a</key></dict></plist>",
		"<plist><dict><string>a</string></dict></plist>", "<plist><dict><key>a</key><date>1</date></dict></plist>", "<plist><dict><key>a</key><string>x",
		"<plist><dict><key>a</key><true/>",
	} {
		if got, err := units.ParsePlist([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
