package responses

import (
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// localTool is a tool of OpenAI's that the client runs itself. Other models call it
// as a function with a fixed schema
// (https://platform.openai.com/docs/guides/tools-local-shell, -shell,
// -apply-patch).
type localTool struct {
	description, schema string
	item                string // type of its calls; with _output appended, of their results
	prefix              string // of the ids of its calls
	action              string // member of a call with the arguments
}

var localTools = map[string]localTool{
	"local_shell": {
		"Runs a command on the user's machine and returns its output.",
		`{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"the program and its arguments, such as [\"bash\",\"-lc\",\"ls\"]"},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"},"env":{"type":"object","additionalProperties":{"type":"string"}},"user":{"type":"string"}},"required":["command"]}`,
		"local_shell_call", "lsh_", "action",
	},
	"shell": {
		"Runs commands in a shell on the user's machine, one after the other, and returns the output of each.",
		`{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"}},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},"required":["commands"]}`,
		"shell_call", "sh_", "action",
	},
	"apply_patch": {
		"Creates, changes or deletes a file. diff is in the V4A format: for update_file, sections that begin with @@ and have lines beginning with a space (context), - (removed) or + (added); for create_file, each line of the file with + before it.",
		`{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},"diff":{"type":"string"}},"required":["type","path"]}`,
		"apply_patch_call", "apc_", "operation",
	},
}

// isLocal reports whether the client runs a tool itself.
func (s *toolSpec) isLocal() bool {
	if _, ok := localTools[s.Type]; !ok {
		return false
	}
	environment := s.Environment.Get("type").String().Text()
	return environment == "" || environment == "local"
}

// local returns the function for a local tool. If a function of the client has the
// same name, the local tool gets another one.
func (c *converter) local(kind string) jsonscan.Value {
	name := c.localName(kind)
	t := localTools[kind]
	c.kinds[name] = tool{local: kind, name: name}
	f := jsonscan.Obj(member("name", jsonscan.Quoted(name)), member("description", jsonscan.Quoted(t.description)), member("parameters", jsonscan.Lit(t.schema)))
	return jsonscan.Obj(member("type", jsonscan.Lit(`"function"`)), member("function", f))
}

func (c *converter) localName(kind string) string {
	if taken, ok := c.kinds[kind]; ok && taken.local == "" {
		return "openai_" + kind
	}
	return kind
}

// localCall translates a call of a local tool into a call of its function.
func (c *converter) localCall(it *item) {
	kind := strings.TrimSuffix(it.Type, "_call")
	t := localTools[kind]
	arguments := it.Action
	if t.action == "operation" {
		arguments = it.Operation
	}
	given := jsonscan.Obj()
	for name, value := range arguments.Members() {
		if value.Set() && !(kind == "local_shell" && name == "type") {
			given.Put(name, value.Compact())
		}
	}
	id := it.CallID
	if id == "" {
		id = it.ID
	}
	c.call(id, c.localName(kind), jsonscan.AppendQuote(nil, []byte(given.JSON())))
}

// localOutput adds the result of a local tool. A shell's result is a list with each
// command's output and exit status.
func (c *converter) localOutput(it *item, at string) error {
	if it.CallID == "" {
		it.CallID = it.ID // in local_shell_call_output, the id names the call
	}
	if it.Type == "shell_call_output" {
		var b strings.Builder
		for _, o := range it.Output.Elements() {
			b.WriteString(o.Get("stdout").String().Text())
			if stderr := o.Get("stderr").String().Text(); stderr != "" {
				fmt.Fprintf(&b, "\n[stderr]\n%s", stderr)
			}
			switch outcome := o.Get("outcome"); {
			case outcome.Get("type").Is(`"timeout"`):
				b.WriteString("\n[timed out]")
			case outcome.Get("exit_code").Set():
				fmt.Fprintf(&b, "\n[exit code %s]", outcome.Get("exit_code").JSON())
			}
			b.WriteString("\n")
		}
		it.Output = jsonscan.Quoted(strings.TrimSpace(b.String()))
	}
	if !it.Output.Set() { // from apply_patch
		it.Output = jsonscan.Quoted(it.Status)
	}
	return c.output(it, at)
}

// localItem is a call of a local tool in the client's form. If a model wrote
// arguments that are not an object, the call is empty, and the client refuses it.
type localItem struct {
	ID        string         `json:"id"`
	Type      string         `json:"type"`
	Status    string         `json:"status"`
	CallID    string         `json:"call_id"`
	Action    map[string]any `json:"action,omitempty"`
	Operation map[string]any `json:"operation,omitempty"`
}

// newLocalItem returns the item of a finished call.
func newLocalItem(kind, id, callID, arguments, status string) localItem {
	t := localTools[kind]
	it := localItem{ID: t.prefix + id, Type: t.item, Status: status, CallID: callID}
	fields := map[string]any{}
	for name, value := range jsonscan.Raw(validObject(arguments)).Members() {
		fields[name] = value.JSON()
	}
	switch kind {
	case "local_shell":
		fields["type"] = "exec"
		if fields["env"] == nil {
			fields["env"] = map[string]string{}
		}
		if fields["command"] == nil {
			fields["command"] = []string{}
		}
		it.Action = fields
	case "shell":
		for _, name := range []string{"timeout_ms", "max_output_length"} {
			if fields[name] == nil {
				fields[name] = rawjson.Must(nil)
			}
		}
		if fields["commands"] == nil {
			fields["commands"] = []string{}
		}
		it.Action = fields
	default:
		it.Operation = fields
	}
	return it
}

// validObject returns arguments if they are an object, and {} otherwise.
func validObject(arguments string) []byte {
	raw := []byte(arguments)
	if !jsonscan.Valid(raw) || jsonscan.KindOf(raw) != '{' {
		return []byte("{}")
	}
	return raw
}
