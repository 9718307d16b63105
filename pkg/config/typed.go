package config

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/appname"
)

// TokenPersistence returns PersistOff, PersistFile or PersistKeychain.
func (s *Settings) TokenPersistence() string { return s.value(TokenPersistence).(string) }

// KeyStorage returns StorageAuto, StorageKeychain or StorageFile.
func (s *Settings) KeyStorage() string { return s.value(KeyStorage).(string) }

// StreamUsage reports whether providers may be asked for the usage of streams.
func (s *Settings) StreamUsage() bool { return s.value(StreamUsage) == "on" }

// RefuseUnpriced reports whether a model without a known price is refused if a budget in
// US dollars applies.
func (s *Settings) RefuseUnpriced() bool { return s.value(BudgetUnpriced) == "refuse" }

// ApprovalDialog reports whether an app's request for a token may be shown in a desktop
// dialog.
func (s *Settings) ApprovalDialog() bool { return s.value(ApprovalDialog) == "on" }

// EchoEnabled reports whether the built-in provider echo is enabled.
func (s *Settings) EchoEnabled() bool { return s.value(Echo) == "on" }

// HTTPSRedirect reports whether plain http requests for apps are redirected to https.
func (s *Settings) HTTPSRedirect() bool { return s.value(HTTPSRedirect).(bool) }

// WildcardRoutes reports whether every route also serves the names below its own.
func (s *Settings) WildcardRoutes() bool { return s.value(WildcardRoutes).(bool) }

// Port returns the TCP port to bind, 0 for any free port.
func (s *Settings) Port() int { return s.value(Port).(int) }

// OTLPEndpoint returns the base URL of a collector, "" for none.
func (s *Settings) OTLPEndpoint() string {
	if v := s.value(OTLPEndpoint).(string); v != "off" {
		return v
	}
	return ""
}

// LogBodies returns off, on or errors: which bodies are stored with the request log.
func (s *Settings) LogBodies() string { return s.value(LogBodies).(string) }

// LogBodiesAge returns how long bodies are kept.
func (s *Settings) LogBodiesAge() time.Duration {
	return time.Duration(s.value(LogBodiesDays).(int)) * 24 * time.Hour
}

// MetricsPort returns the TCP port on which metrics are served, 0 for none.
func (s *Settings) MetricsPort() int { return s.value(MetricsPort).(int) }

// TLS reports whether https is served as well as http.
func (s *Settings) TLS() bool { return s.value(TLS) == "on" }

// Web reports whether the login service also listens on ports 80 and 443.
func (s *Settings) Web() bool { return s.value(Web) == "on" }

// Verbose reports whether each request is logged.
func (s *Settings) Verbose() bool { return s.value(Verbose) == "on" }

// IdleTimeout returns after how long without activity a supervised daemon stops; 0 means
// never.
func (s *Settings) IdleTimeout() time.Duration {
	d, _ := ParseIdleTimeout(s.value(IdleTimeout).(string)) // validated when it was set
	return d
}

// Linger returns how long a replaced daemon keeps serving its open streams and upgraded
// connections.
func (s *Settings) Linger() time.Duration {
	d, _ := ParseDuration(s.value(Linger).(string)) // validated when it was set
	return d
}

// TrustedProxies returns the peers whose forwarding headers are trusted.
func (s *Settings) TrustedProxies() []netip.Prefix {
	return slices.Clone(s.current.Load().proxies)
}

// Domains returns the domains under which apps are served, besides localhost.
func (s *Settings) Domains() appname.Domains {
	list, _ := s.value(TLD).([]string)
	return list
}

// CertFile returns the path of the user's own certificate, "" for none.
func (s *Settings) CertFile() string { return s.value(TLSCert).(string) }

// KeyFile returns the path of that certificate's private key.
func (s *Settings) KeyFile() string { return s.value(TLSKey).(string) }

// HostsSync reports whether the apps' names are kept in the hosts file.
func (s *Settings) HostsSync() bool { return s.value(HostsSync) == "on" }

// AllowsUID reports whether processes of the user may reach apps.
func (s *Settings) AllowsUID(uid int) bool {
	list, _ := s.value(AllowedUIDs).([]string)
	return slices.Contains(list, strconv.Itoa(uid))
}

// AllowedOrigins returns the origins whose pages may read the gateway's responses, in the
// form of NormalizeOrigin. It is never nil.
func (s *Settings) AllowedOrigins() []string { return slices.Clone(s.current.Load().origins) }

// OllamaModels returns the models that the Ollama API lists besides those of the
// providers. It is never nil.
func (s *Settings) OllamaModels() []OllamaModel {
	return append([]OllamaModel{}, s.current.Load().ollama...)
}

// Models returns the configured models of a provider that cannot list its own.
func (s *Settings) Models(provider string) []string {
	return slices.Clone(s.current.Load().models[provider])
}

// ModelAPIs maps PROVIDER/MODEL, which may end in *, to the API that is used for the
// model: chat or responses.
func (s *Settings) ModelAPIs() map[string]string { return maps.Clone(s.current.Load().apis) }

// ModelProviders returns the sorted names of the providers that have configured models.
func (s *Settings) ModelProviders() []string {
	return slices.Sorted(maps.Keys(s.current.Load().models))
}

// OAuthClients returns the member oauth_clients as it is in the file, or nil.
func (s *Settings) OAuthClients() json.RawMessage {
	return slices.Clone(s.current.Load().members[memberOAuth])
}

// Prices returns the member prices as it is in the file, or nil.
func (s *Settings) Prices() json.RawMessage {
	return slices.Clone(s.current.Load().members[memberPrices])
}
