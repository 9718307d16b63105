package anthropic

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// sessionHeader is the header in which newer versions of Claude Code name their
// session.
const sessionHeader = "X-Claude-Code-Session-Id"

// session returns Claude Code's session from the header or from the user's id,
// which is user_…_account_…_session_UUID or an object. It returns "" for other
// clients.
func (t *toChat) session() string {
	if id := t.in.Header.Get(sessionHeader); id != "" {
		return id
	}
	id := t.req.Metadata.UserID
	if _, session, ok := strings.Cut(id, "_session_"); ok {
		return session
	}
	var user struct {
		Session string `json:"session_id"`
	}
	if strings.HasPrefix(id, "{") && jsonscan.Decode([]byte(id), &user) == nil {
		return user.Session
	}
	return ""
}

// cacheKey makes the requests of a session use the same prompt cache of the
// provider.
func (t *toChat) cacheKey() {
	session := t.session()
	if session == "" || !t.up.Lists(openai.PromptCacheKey) {
		return
	}
	if len(session) > 64 { // OpenAI's maximum
		sum := sha256.Sum256([]byte(session))
		session = hex.EncodeToString(sum[:])
	}
	t.out.PutText("prompt_cache_key", session)
}
