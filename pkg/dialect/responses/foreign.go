package responses

import (
	"bytes"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Foreign gives the edits that take out of a Responses request, whose input is at a
// place in data, the reasoning that Hostless sealed while another provider's model
// answered: OpenAI refuses encrypted content that is not its own on each further
// turn. ignored names what was taken out.
func Foreign(data []byte, input jsonscan.Span) (edits []jsonscan.Edit, ignored []string) {
	all := jsonscan.Spans(data, input)
	edits = jsonscan.Cut(all, func(i int) bool {
		item := all[i].Of(data)
		if jsonscan.Opens(item, `"type":"`) && !jsonscan.Opens(item, `"type":"reasoning"`) {
			return false // a message or a call, which may be long
		}
		fields := jsonscan.Fields(data, all[i], "type", "encrypted_content")
		sealed := fields[1].Of(data)
		if string(fields[0].Of(data)) != `"reasoning"` || len(sealed) == 0 || !bytes.HasPrefix(sealed[1:], []byte(sealedPrefix)) {
			return false
		}
		ignored = []string{"reasoning.encrypted_content"}
		return true
	})
	return edits, ignored
}
