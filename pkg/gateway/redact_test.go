package gateway

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestEscapedKey writes a key as JSON may: as Gson does `=`, as PHP does `/`, and
// every character as its code.
func TestEscapedKey(t *testing.T) {
	const key = "sk-s/ab+9=="
	every := ""
	for i := range len(key) {
		every += fmt.Sprintf(`\u%04X`, key[i])
	}
	for _, spelling := range []string{key, every, strings.ReplaceAll(key, "=", `\u003d`), strings.ReplaceAll(key, "/", `\/`), `\u0073k-\u0073/ab+9=` + `=`} {
		data := `{"a":"\n\u4e2d\\` + spelling + `\" sk-s\u002f` + spelling + spelling + `"}`
		want := `{"a":"\n\u4e2d\\[redacted]\" sk-s\u002f[redacted][redacted]"}`
		r := redactor{key}
		if got := string(r.whole([]byte(data))); got != want {
			t.Errorf("whole of %s: %s", data, got)
		}
		fixed := []byte(data)
		r.sameLength(fixed)
		if got := string(fixed); len(got) != len(data) || strings.Count(got, "[redacted]") != 3 || strings.Contains(got, spelling) {
			t.Errorf("sameLength of %s: %s", data, got)
		}
		for cut := range 120 {
			w := httptest.NewRecorder()
			relayed := relay{w: w, flush: func() {}, key: r}
			if err := relayed.run(&chopped{data: []byte(data), cuts: []byte{byte(cut), 2}}); err != nil {
				t.Fatal(err)
			}
			if got := w.Body.String(); got != want {
				t.Errorf("cut after %d: %s", cut+1, got)
			}
		}
	}
	for _, other := range []string{`\\u0073k-s/ab+9==`, `\u0073k-s/ab+8==`, `sk-s\/ab+9\u003`, `\`, `\u`, `\u00zz`, `\u0173k-s/ab+9==`} {
		if got := (redactor{key}).whole([]byte(other)); string(got) != other {
			t.Errorf("%s is not the key, but became %s", other, got)
		}
		w := httptest.NewRecorder()
		relayed := relay{w: w, flush: func() {}, key: redactor{key}}
		if err := relayed.run(&chopped{data: []byte(other)}); err != nil || !bytes.HasPrefix(w.Body.Bytes(), []byte(other[:1])) {
			t.Errorf("%s came through as %s, %v", other, w.Body, err)
		}
	}
}
