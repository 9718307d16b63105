package usage

// What an estimate counts: four tokens for each fourteen bytes of a request, JSON
// included, and a flat number for what is no text, such as an image in base64.
const (
	bytesPer4   = 14
	mediaRun    = 1024 // bytes of base64 in a row, which no text has
	mediaTokens = 1600 // an image of Anthropic's largest size
)

// Estimate guesses what a stream used that was aborted before its provider reported it:
// the prompt of the request's JSON, nil for none, and a token of output for each event
// that came. It is no provider's count: who shows it marks it as an estimate.
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
