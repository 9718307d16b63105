package dialecttest

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
)

// Yardstick is a request of any dialect with its text decoded, as a program that
// uses encoding/json reads a body.
type Yardstick struct {
	Model    string `json:"model"`
	System   []yardPart
	Messages []struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
		Calls   []struct {
			ID       string `json:"id"`
			Function struct {
				Name      string `json:"name"`
				Arguments string `json:"arguments"`
			} `json:"function"`
		} `json:"tool_calls"`
	} `json:"messages"`
	Input []struct {
		Type      string `json:"type"`
		Role      string `json:"role"`
		Content   any    `json:"content"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
		Output    string `json:"output"`
	} `json:"input"`
	Contents []struct {
		Role  string     `json:"role"`
		Parts []yardPart `json:"parts"`
	} `json:"contents"`
	Tools []struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Schema      map[string]any `json:"input_schema"`
		Function    map[string]any `json:"function"`
	} `json:"tools"`
}

type yardPart struct {
	Text             string         `json:"text"`
	FunctionCall     map[string]any `json:"functionCall"`
	FunctionResponse map[string]any `json:"functionResponse"`
}

// BenchRequests measures a translation of an agent's requests of 16 KB, 256 KB and
// 1 MB in the client's dialect, and one json.Unmarshal of the same body for
// comparison. cpu-ms is the CPU time of the process, garbage collection included:
// it varies less than wall time if other processes use the machine.
func BenchRequests(b *testing.B, caller, model string, translate dialect.Translator) {
	for _, size := range []int{16 << 10, 256 << 10, 1 << 20} {
		body := Agent(caller, size)
		measure(b, "translate", size, body, func() error {
			_, err := translate(dialect.Request{Model: model, Provider: "p", Stream: true, Body: body})
			return err
		})
		measure(b, "unmarshal", size, body, func() error { return json.Unmarshal(body, new(Yardstick)) })
	}
}

func measure(b *testing.B, what string, size int, body []byte, f func() error) {
	b.Run(fmt.Sprintf("%s-%dK", what, size>>10), func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		before := cpu()
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpu()-before)/1e6/float64(b.N), "cpu-ms/op")
	})
}

// cpu returns the CPU time that the process has used, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
