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

// TokenPersistence is PersistOff, PersistFile or PersistKeychain.
func (s *Settings) TokenPersistence() string { return s.value(TokenPersistence).(string) }

// KeyStorage is StorageAuto, StorageKeychain or StorageFile.
func (s *Settings) KeyStorage() string { return s.value(KeyStorage).(string) }

// StreamUsage reports whether streams may be asked for their usage.
func (s *Settings) StreamUsage() bool { return s.value(StreamUsage) == "on" }

// RefuseUnpriced reports whether a model whose price is not known is refused where a
// budget in US dollars applies.
func (s *Settings) RefuseUnpriced() bool { return s.value(BudgetUnpriced) == "refuse" }

// ApprovalDialog reports whether an app's request for a token may be shown on the
// desktop.
func (s *Settings) ApprovalDialog() bool { return s.value(ApprovalDialog) == "on" }

// EchoEnabled reports whether the built-in provider echo answers.
func (s *Settings) EchoEnabled() bool { return s.value(Echo) == "on" }

// HTTPSRedirect reports whether plain requests for apps go to https.
func (s *Settings) HTTPSRedirect() bool { return s.value(HTTPSRedirect).(bool) }

// WildcardRoutes reports whether a route serves the names below it too.
func (s *Settings) WildcardRoutes() bool { return s.value(WildcardRoutes).(bool) }

// Port is the TCP port to bind, 0 for any.
func (s *Settings) Port() int { return s.value(Port).(int) }

// OTLPEndpoint is the base URL of a collector, "" for none.
func (s *Settings) OTLPEndpoint() string {
	if v := s.value(OTLPEndpoint).(string); v != "off" {
		return v
	}
	return ""
}

// LogBodies is off, on, or errors: whose bodies the request log keeps.
func (s *Settings) LogBodies() string { return s.value(LogBodies).(string) }

// LogBodiesAge is for how long it keeps them.
func (s *Settings) LogBodiesAge() time.Duration {
	return time.Duration(s.value(LogBodiesDays).(int)) * 24 * time.Hour
}

// MetricsPort is the TCP port on which metrics are served to who has their token, 0 for
// none.
func (s *Settings) MetricsPort() int { return s.value(MetricsPort).(int) }

// TLS reports whether https is served beside http.
func (s *Settings) TLS() bool { return s.value(TLS) == "on" }

// Web reports whether the login service listens on ports 80 and 443 too.
func (s *Settings) Web() bool { return s.value(Web) == "on" }

// Verbose reports whether each request is logged.
func (s *Settings) Verbose() bool { return s.value(Verbose) == "on" }

// IdleTimeout is after how long without anything to do a supervised daemon ends;
// 0 is never.
func (s *Settings) IdleTimeout() time.Duration {
	d, _ := ParseIdleTimeout(s.value(IdleTimeout).(string)) // checked when it was set
	return d
}

// Linger is how long a daemon that was replaced stays at most for the streams
// and upgraded connections that it still serves.
func (s *Settings) Linger() time.Duration {
	d, _ := ParseDuration(s.value(Linger).(string)) // checked when it was set
	return d
}

// TrustedProxies are the peers whose forwarding headers are believed.
func (s *Settings) TrustedProxies() []netip.Prefix {
	return slices.Clone(s.current.Load().proxies)
}

// Domains are the names below which apps are served, besides localhost.
func (s *Settings) Domains() appname.Domains {
	list, _ := s.value(TLD).([]string)
	return list
}

// CertFile is an own certificate's file, "" for none.
func (s *Settings) CertFile() string { return s.value(TLSCert).(string) }

// KeyFile is the file of the own certificate's private key.
func (s *Settings) KeyFile() string { return s.value(TLSKey).(string) }

// HostsSync reports whether the names of apps are kept in the hosts file.
func (s *Settings) HostsSync() bool { return s.value(HostsSync) == "on" }

// AllowsUID reports whether processes of that user may reach apps.
func (s *Settings) AllowsUID(uid int) bool {
	list, _ := s.value(AllowedUIDs).([]string)
	return slices.Contains(list, strconv.Itoa(uid))
}

// AllowedOrigins are the origins whose pages may read the gateway's answers, in
// the form of NormalizeOrigin. Never nil.
func (s *Settings) AllowedOrigins() []string { return slices.Clone(s.current.Load().origins) }

// OllamaModels are the models that the Ollama surface lists beside live ones.
// Never nil.
func (s *Settings) OllamaModels() []OllamaModel {
	return append([]OllamaModel{}, s.current.Load().ollama...)
}

// Models are the models listed for a provider that cannot list its own.
func (s *Settings) Models(provider string) []string {
	return slices.Clone(s.current.Load().models[provider])
}

// ModelAPIs says by which of a provider's APIs, chat or responses, a model is asked, by
// PROVIDER/MODEL, which may end in *.
func (s *Settings) ModelAPIs() map[string]string { return maps.Clone(s.current.Load().apis) }

// ModelProviders are the providers that Models knows, sorted.
func (s *Settings) ModelProviders() []string {
	return slices.Sorted(maps.Keys(s.current.Load().models))
}

// OAuthClients is the member oauth_clients as it stands in the file, or nil.
func (s *Settings) OAuthClients() json.RawMessage {
	return slices.Clone(s.current.Load().members[memberOAuth])
}

// Prices is the member prices as it stands in the file, or nil.
func (s *Settings) Prices() json.RawMessage {
	return slices.Clone(s.current.Load().members[memberPrices])
}
