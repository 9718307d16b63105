package launch

import "encoding/json"

// opencodeConfig is the variable of opencode that holds a configuration in JSON, which is
// merged into those of its files (https://opencode.ai/docs/config). opencode reads no
// variable for a base URL.
const opencodeConfig = "OPENCODE_CONFIG_CONTENT"

// opencodeBases maps a provider to the version path with which opencode's SDK for it
// expects a base URL.
var opencodeBases = map[string]string{"anthropic": "/v1", "openai": "/v1", "google": "/v1beta"}

// opencode returns a configuration for opencode that directs its providers to the gateway
// and, if a model is set, makes it use that model. own is the value of the shell's
// variable, whose other settings are kept; it is returned unchanged if it is not a JSON
// object.
func (a aiEnv) opencode(own, gateway, token string) string {
	config := map[string]any{}
	if own != "" && json.Unmarshal([]byte(own), &config) != nil {
		return own
	}
	providers, _ := config["provider"].(map[string]any)
	if providers == nil {
		providers = map[string]any{}
	}
	for _, name := range a.held {
		base, known := opencodeBases[name]
		if !known || !a.permits(name) {
			continue
		}
		provider, _ := providers[name].(map[string]any)
		if provider == nil {
			provider = map[string]any{}
		}
		options, _ := provider["options"].(map[string]any)
		if options == nil {
			options = map[string]any{}
		}
		options["baseURL"], options["apiKey"] = gateway+base, token
		provider["options"], providers[name] = options, provider
	}
	if a.model != "" {
		providers["hostless"] = map[string]any{
			"npm": "@ai-sdk/openai-compatible", "name": "Hostless",
			"options": map[string]any{"baseURL": gateway + "/v1", "apiKey": token},
			"models":  map[string]any{a.model: map[string]any{"name": a.model}},
		}
		config["model"], config["small_model"] = "hostless/"+a.model, "hostless/"+a.model
	}
	config["provider"] = providers
	data, err := json.Marshal(config)
	if err != nil {
		return own
	}
	return string(data)
}
