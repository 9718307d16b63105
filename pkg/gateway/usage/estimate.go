package usage

// The rules of an estimate: four tokens for every fourteen bytes of a request, including
// JSON syntax, and a fixed number for data that is not text, such as an image in base64.
const (
	bytesPer4   = 14
	mediaRun    = 1024 // a longer run of base64 characters is not text
	mediaTokens = 1600 // an image of the largest size that Anthropic accepts
)

// Estimate estimates the usage of a stream that was aborted before its provider reported
// it: the input from the JSON of the request (nil for none), and one output token for each
// event. It must be shown as an estimate, since no provider reported it.
func Estimate(body []byte, events int64) Report {
	var text, media, run int64
	for _, c := range body {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_' || c == '=' {
			run++
			continue
		}
		text, media = addRun(text, media, run)
		text++
		run = 0
	}
	text, media = addRun(text, media, run)
	return Report{Tokens: Tokens{Input: (text*4+bytesPer4-1)/bytesPer4 + media*mediaTokens, Output: events}}
}

func addRun(text, media, run int64) (int64, int64) {
	if run >= mediaRun {
		return text, media + 1
	}
	return text + run, media
}
