package anthropic

import (
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// clientTool is a tool of Anthropic's that the client runs itself. Its schema is
// built into Claude; other models get it as a function.
type clientTool struct{ kind, description, schema string }

// clientTools lists these tools by the beginning of their type, before the date
// (https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview#client-tools).
var clientTools = []clientTool{
	{
		"bash_", "Runs a command in a persistent bash session on the user's machine and returns its output. restart: true restarts the session.",
		`{"type":"object","properties":{"command":{"type":"string"},"restart":{"type":"boolean"}}}`,
	},
	{
		"text_editor_", "Views, creates and edits text files. view shows a file, or a directory's files; view_range is [first line, last line]. create writes file_text. str_replace replaces old_str, which must occur exactly once, by new_str. insert puts insert_text (new_str in older versions) behind the line insert_line.",
		`{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"]},"path":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"}},"required":["command","path"]}`,
	},
	{
		"memory_", "Keeps notes for later conversations in files below /memories. Look there before beginning a task. view shows a file or a directory, create writes file_text, str_replace replaces old_str by new_str, insert puts insert_text behind the line insert_line, delete removes path, rename moves old_path to new_path.",
		`{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"}},"required":["command"]}`,
	},
	{
		"computer_", "Uses the screen, mouse and keyboard of a computer; a screenshot shows what is there. coordinate is [x, y] in pixels, text what is typed or the keys that are pressed.",
		`{"type":"object","properties":{"action":{"type":"string","enum":["screenshot","cursor_position","mouse_move","left_click","right_click","middle_click","double_click","triple_click","left_click_drag","left_mouse_down","left_mouse_up","scroll","key","hold_key","type","wait","zoom"]},"coordinate":{"type":"array","items":{"type":"integer"}},"start_coordinate":{"type":"array","items":{"type":"integer"}},"region":{"type":"array","items":{"type":"integer"}},"text":{"type":"string"},"duration":{"type":"number"},"scroll_direction":{"type":"string","enum":["up","down","left","right"]},"scroll_amount":{"type":"integer"}},"required":["action"]}`,
	},
}

// clientSide sets the description and the schema of a tool that the client runs
// itself, so that it becomes a function. ok is false for other tools.
func (tool *inTool) clientSide() (ok bool) {
	for i := range clientTools {
		known := &clientTools[i]
		if !strings.HasPrefix(tool.Type, known.kind) {
			continue
		}
		description := known.description
		if tool.Width > 0 && tool.Height > 0 {
			description += fmt.Sprintf(" The display is %d pixels wide and %d high.", tool.Width, tool.Height)
		}
		tool.Description, tool.Schema = jsonscan.Quote(description), []byte(known.schema)
		return true
	}
	return false
}
