package ollama

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// APIVersion is the version of Ollama whose API this package implements.
// /api/version returns it, because clients refuse older ones.
const APIVersion = "0.12.6"

// ID returns a model's name in Ollama's lists: `provider/id`, with `gemini` as the
// provider for Google.
func ID(provider, id string) string {
	if provider == "google" {
		provider = "gemini"
	}
	return provider + "/" + strings.TrimPrefix(id, "models/")
}

// Name returns a model's name without the `:latest` that Ollama's clients add.
func Name(name string) string { return strings.TrimSuffix(name, ":latest") }

// Model is what the lists contain about a model. Name and Provider are required.
type Model struct {
	Name         string    // as in lists and requests; see ID
	Provider     string    // the provider's name, used as the model family
	Modified     time.Time // when it was created or first seen
	Context      int       // maximum tokens of a prompt; 0 if unknown
	Capabilities []string  // completion, tools, vision, thinking, embedding; nil means completion and tools
}

type details struct {
	Parent       string   `json:"parent_model"`
	Format       string   `json:"format"`
	Family       string   `json:"family"`
	Families     []string `json:"families"`
	Size         string   `json:"parameter_size"`
	Quantization string   `json:"quantization_level"`
}

func (m Model) details() details {
	return details{Format: "remote", Family: m.Provider, Families: []string{m.Provider}}
}

// digest returns a digest of the name, because there are no weights to hash.
func (m Model) digest() string {
	sum := sha256.Sum256([]byte(m.Name))
	return hex.EncodeToString(sum[:])
}

func (m Model) capabilities() []string {
	if m.Capabilities == nil {
		return []string{"completion", "tools"}
	}
	return m.Capabilities
}

type tag struct {
	Name     string  `json:"name"`
	Model    string  `json:"model"`
	Modified string  `json:"modified_at"`
	Size     int64   `json:"size"`
	Digest   string  `json:"digest"`
	Details  details `json:"details"`
}

// Tags returns the response of GET /api/tags: {"models":[…]}, never null.
func Tags(models []Model) []byte {
	out := struct {
		Models []tag `json:"models"`
	}{[]tag{}}
	for _, m := range models {
		out.Models = append(out.Models, tag{m.Name, m.Name, stamp(m.Modified), 0, m.digest(), m.details()})
	}
	return rawjson.Must(out)
}

// Show returns the response of POST /api/show.
func Show(m Model) []byte {
	info := rawjson.Object{
		rawjson.T("general.architecture", m.Provider),
		rawjson.T("general.basename", m.Name),
	}
	if m.Context > 0 {
		info = append(info, rawjson.M(m.Provider+".context_length", rawjson.Must(m.Context)))
	}
	if slices.Contains(m.capabilities(), "embedding") && m.Context == 0 {
		info = append(info, rawjson.M("general.type", []byte(`"embedding"`)))
	}
	return rawjson.Object{
		rawjson.M("license", []byte(`""`)),
		rawjson.T("modelfile", "FROM "+m.Name+"\n"),
		rawjson.M("parameters", []byte(`""`)),
		rawjson.M("template", []byte(`"{{ .Prompt }}"`)),
		rawjson.M("details", rawjson.Must(m.details())),
		rawjson.M("model_info", info.JSON()),
		rawjson.M("capabilities", rawjson.Must(m.capabilities())),
		rawjson.T("modified_at", stamp(m.Modified)),
	}.JSON()
}

// ShowRequest returns the model that POST /api/show asks for: `model`, or `name` as
// older clients send it. The error is fault.Invalid.
func ShowRequest(body []byte) (string, error) {
	list, ok := rawjson.Members(body)
	if !ok {
		return "", dialect.Invalid("", "the request body must be a JSON object")
	}
	for _, field := range []string{"model", "name"} {
		for _, m := range list {
			if s, ok := rawjson.Text(m.Value); ok && m.Name == field && s != "" {
				return Name(s), nil
			}
		}
	}
	return "", dialect.Invalid("model", "model is required")
}

// Active is a model that was used recently.
type Active struct {
	Model
	Expires time.Time // when it will no longer be listed
}

// PS returns the response of GET /api/ps: {"models":[…]}, never null.
func PS(active []Active) []byte {
	type running struct {
		Name    string  `json:"name"`
		Model   string  `json:"model"`
		Size    int64   `json:"size"`
		Digest  string  `json:"digest"`
		Details details `json:"details"`
		Expires string  `json:"expires_at"`
		VRAM    int64   `json:"size_vram"`
		Context int     `json:"context_length"`
	}
	out := struct {
		Models []running `json:"models"`
	}{[]running{}}
	for _, a := range active {
		out.Models = append(out.Models, running{a.Name, a.Name, 0, a.digest(), a.details(), stamp(a.Expires), 0, a.Context})
	}
	return rawjson.Must(out)
}

// Version returns the response of GET /api/version. "" means APIVersion.
func Version(version string) []byte {
	if version == "" {
		version = APIVersion
	}
	return rawjson.Object{rawjson.T("version", version)}.JSON()
}
