package config

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/fault"
)

// Settings in config.json that have a name for `config get` and `config set`.
const (
	TokenPersistence = "token-persistence" // off, file, keychain
	KeyStorage       = "key-storage"       // auto, keychain, file
	StreamUsage      = "stream-usage"      // on, off
	HTTPSRedirect    = "https-redirect"    // true, false
	WildcardRoutes   = "wildcard-routes"   // true, false
	Echo             = "echo"              // on, off
	TrustedProxies   = "trusted-proxies"   // CSV of CIDRs
	TLD              = "tld"               // CSV of domains under which apps are served
	TLSCert          = "tls-cert"          // absolute path
	TLSKey           = "tls-key"           // absolute path
	HostsSync        = "hosts-sync"        // on, off
	RunProviders     = "run-providers"     // CSV: default provider limit of the tokens of runs
	RunModels        = "run-models"        // CSV: default model limit of the tokens of runs
	RunRateLimit     = "run-rate-limit"    // requests per hour, 0 means no limit
	AllowedUIDs      = "allowed-uids"      // CSV of user ids that can reach apps
	ApprovalDialog   = "approval-dialog"   // on, off
	Port             = "port"              // 0 to 65535
	TLS              = "tls"               // on, off
	IdleTimeout      = "idle-timeout"      // a duration, or off
	Linger           = "linger"            // a duration
	Verbose          = "verbose"           // on, off
	Web              = "web"               // on, off: set by the installation of the login service
	BudgetUnpriced   = "budget-unpriced"   // allow, refuse
	MetricsPort      = "metrics-port"      // 0 to 65535, 0 means off
	OTLPEndpoint     = "otlp-endpoint"     // base URL of a collector, or off
	LogBodies        = "log-bodies"        // off, on, errors
	LogBodiesDays    = "log-bodies-days"   // 1 to 365
)

// Values of TokenPersistence.
const (
	PersistOff      = "off"
	PersistFile     = "file"
	PersistKeychain = "keychain"
)

// Values of KeyStorage.
const (
	StorageAuto     = "auto"     // the keychain if it works, or else the file
	StorageKeychain = "keychain" // sealed in vault.json
	StorageFile     = "file"     // keys.env
)

// setting defines how a named setting is validated and stored.
type setting struct {
	name  string
	allow []string // the allowed words; nil means any value
	flag  bool     // stored as a JSON boolean
	def   string   // as text
	parse func(string) (any, error)
	about string // description for users
}

// settings lists the named settings in the order of `config list`.
var settings = []setting{
	{name: Port, def: strconv.Itoa(DefaultPort), parse: parsePort, about: "the TCP port of the daemon, effective from its next start"},
	{name: TLS, def: "off", allow: []string{"on", "off"}, about: "serve https as well as http"},
	{name: IdleTimeout, def: "off", parse: parseIdleTimeout, about: "after how long without activity the login service stops"},
	{name: Linger, def: "10m", parse: parseLinger, about: "how long a replaced daemon keeps serving its open streams"},
	{name: Web, def: "off", allow: []string{"on", "off"}, about: "whether the login service also listens on ports 80 and 443"},
	{name: Verbose, def: "off", allow: []string{"on", "off"}, about: "log each request"},
	{name: TokenPersistence, def: PersistOff, allow: []string{PersistOff, PersistFile, PersistKeychain}, about: "keep tokens across restarts, as hashes"},
	{name: KeyStorage, def: StorageAuto, allow: []string{StorageAuto, StorageKeychain, StorageFile}, about: "where provider keys are stored"},
	{name: StreamUsage, def: "on", allow: []string{"on", "off"}, about: "ask providers for the usage of streams"},
	{name: ApprovalDialog, def: "on", allow: []string{"on", "off"}, about: "show apps' requests for a token in a desktop dialog"},
	{name: Echo, def: "on", allow: []string{"on", "off"}, about: "serve the built-in models echo/text and echo/slow"},
	{name: HTTPSRedirect, def: "false", allow: []string{"true", "false"}, flag: true, about: "redirect plain http requests for apps to https"},
	{name: WildcardRoutes, def: "false", allow: []string{"true", "false"}, flag: true, about: "let every app also serve the names below its own"},
	{name: TrustedProxies, def: "", parse: parseCIDRs, about: "peers whose X-Forwarded-* headers are trusted"},
	{name: TLSCert, def: "", parse: parseFile, about: "file of your own certificate, served for the names in it"},
	{name: TLSKey, def: "", parse: parseFile, about: "file of the certificate's private key"},
	{name: TLD, def: "", parse: parseDomains, about: "domains for apps besides localhost; URLs use the first one"},
	{name: HostsSync, def: "off", allow: []string{"on", "off"}, about: "keep app names in the hosts file"},
	{name: RunProviders, def: "", parse: parseWords, about: "providers that a run's token may use, if --providers is not given"},
	{name: RunModels, def: "", parse: parseWords, about: "models that a run's token may use, if --models is not given"},
	{name: RunRateLimit, def: "0", parse: parseCount, about: "requests per hour of a run's token, if --rate-limit is not given"},
	{name: AllowedUIDs, def: "", parse: parseUIDs, about: "user ids of other users who may reach apps"},
	{name: BudgetUnpriced, def: "allow", allow: []string{"allow", "refuse"}, about: "whether a budget in dollars allows models without a known price"},
	{name: OTLPEndpoint, def: "off", parse: parseEndpoint, about: "URL to send traces and metrics of AI requests to, over OTLP/HTTP"},
	{name: LogBodies, def: "off", allow: []string{"off", "on", "errors"}, about: "store bodies with the request log: all, or only those of errors"},
	{name: LogBodiesDays, def: "7", parse: parseDays, about: "how many days the bodies are kept"},
	{name: MetricsPort, def: "0", parse: parseMetricsPort, about: "the loopback port for Prometheus metrics, 0 for none"},
}

// Names returns the names of all settings.
func Names() []string {
	var out []string
	for _, s := range settings {
		out = append(out, s.name)
	}
	return out
}

// About returns a setting's short description, "" for an unknown name.
func About(name string) string {
	def, _ := lookup(name)
	return def.about
}

// lookup finds a setting by its name. It accepts `_` instead of `-`.
func lookup(name string) (setting, error) {
	canonical := strings.ReplaceAll(name, "_", "-")
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == canonical })
	if i < 0 {
		return setting{}, &fault.Error{
			Kind:    fault.Invalid,
			Message: fmt.Sprintf("there is no setting %.80q; the settings are %s", name, strings.Join(Names(), ", ")),
			Next:    "hostless config list", Param: name,
		}
	}
	return settings[i], nil
}

// value validates a text and returns the value to store in config.json.
func (s setting) value(text string) (any, error) {
	text = strings.TrimSpace(text)
	bad := func(what string) error {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s must be %s, not %.80q", s.name, what, text), Param: s.name}
	}
	if s.parse != nil {
		v, err := s.parse(text)
		if err != nil {
			return nil, bad(err.Error())
		}
		return v, nil
	}
	word := strings.ToLower(text)
	if slices.Contains(s.allow, "on") || slices.Contains(s.allow, "true") { // on and true mean the same, as do off and false
		switch word {
		case "on", "true":
			word = s.allow[slices.IndexFunc(s.allow, func(a string) bool { return a == "on" || a == "true" })]
		case "off", "false":
			word = s.allow[slices.IndexFunc(s.allow, func(a string) bool { return a == "off" || a == "false" })]
		}
	}
	if !slices.Contains(s.allow, word) {
		return nil, bad("one of " + strings.Join(s.allow, ", "))
	}
	if s.flag {
		return word == "true", nil
	}
	return word, nil
}

// fromJSON validates a JSON value, which has the setting's type or is its text.
func (s setting) fromJSON(raw json.RawMessage) (any, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: s.name + " is not a JSON value", Param: s.name, Err: err}
	}
	switch v := v.(type) {
	case string:
		return s.value(v)
	case bool:
		return s.value(strconv.FormatBool(v))
	case float64:
		return s.value(strconv.FormatFloat(v, 'f', -1, 64))
	case []any:
		var words []string
		for _, w := range v {
			word, ok := w.(string)
			if !ok {
				return nil, &fault.Error{Kind: fault.Invalid, Message: s.name + " must be a list of strings", Param: s.name}
			}
			words = append(words, word)
		}
		return s.value(strings.Join(words, ","))
	}
	return nil, &fault.Error{Kind: fault.Invalid, Message: s.name + " cannot be an object", Param: s.name}
}

// text formats a value for users.
func text(v any) string {
	if list, ok := v.([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v)
}

func parsePort(s string) (any, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || s[0] == '+' {
		return nil, fmt.Errorf("a port from 0 to 65535")
	}
	return int(n), nil
}

// parseEndpoint parses the base URL of a collector, or "off".
func parseEndpoint(s string) (any, error) {
	if s == "" || strings.EqualFold(s, "off") || strings.EqualFold(s, "false") {
		return "off", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("off, or the URL of a collector such as http://127.0.0.1:4318")
	}
	return strings.TrimSuffix(strings.TrimRight(s, "/"), "/v1/traces"), nil
}

// parseDays parses a number of days.
func parseDays(s string) (any, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "d"), 10, 16)
	if err != nil || n < 1 || n > 365 {
		return nil, fmt.Errorf("a number of days from 1 to 365")
	}
	return int(n), nil
}

// parseMetricsPort parses a port; 0 and "off" mean none.
func parseMetricsPort(s string) (any, error) {
	if strings.EqualFold(s, "off") || strings.EqualFold(s, "false") {
		return 0, nil
	}
	v, err := parsePort(s)
	if err != nil {
		return nil, fmt.Errorf("a port from 1 to 65535, or off")
	}
	return v, nil
}

// minIdleTimeout keeps the daemon from stopping between two requests of one page.
const minIdleTimeout = time.Second

// ParseIdleTimeout parses a duration as ParseDuration does, or "off" as 0. The error
// describes the valid values.
func ParseIdleTimeout(s string) (time.Duration, error) {
	switch strings.ToLower(s) {
	case "off", "false", "0", "never":
		return 0, nil
	}
	d, err := ParseDuration(s)
	if err != nil || d < minIdleTimeout {
		return 0, fmt.Errorf("off, or a duration of at least %s such as 30m", minIdleTimeout)
	}
	return d, nil
}

func parseIdleTimeout(s string) (any, error) {
	d, err := ParseIdleTimeout(s)
	if err != nil {
		return nil, err
	}
	if d == 0 {
		return "off", nil
	}
	return s, nil
}

// maxLinger limits how long a replaced daemon keeps running for its open streams.
const maxLinger = 24 * time.Hour

// parseLinger parses a duration such as "10m", or seconds; 0 and "off" mean none.
func parseLinger(s string) (any, error) {
	if strings.EqualFold(s, "off") || strings.EqualFold(s, "false") {
		return "0s", nil
	}
	d, err := ParseDuration(s)
	if err != nil || d < 0 || d > maxLinger {
		return nil, fmt.Errorf("a duration up to 24h such as 10m")
	}
	return s, nil
}

// ParseDuration parses a duration as users type it: a number of seconds, whole days as in
// "7d", or the syntax of time.ParseDuration.
func ParseDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(s)
}

func parseCIDRs(s string) (any, error) {
	out := []string{}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			addr, err := netip.ParseAddr(part)
			if err != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("a list of CIDRs such as 10.0.0.0/8,::1/128")
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		out = append(out, prefix.Masked().String())
	}
	return out, nil
}

// parseUIDs parses a list of user ids such as "1001,101000".
func parseUIDs(s string) (any, error) {
	out := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || n > math.MaxInt32 {
			return nil, fmt.Errorf("a list of user ids such as 1001,101000")
		}
		if text := strconv.FormatUint(n, 10); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out, nil
}

// parseDomains parses a list of domains such as "test,dev.example.com".
func parseDomains(s string) (any, error) {
	words := slices.DeleteFunc(strings.Split(s, ","), func(word string) bool { return strings.TrimSpace(word) == "" })
	domains, err := appname.CheckDomains(words)
	if err != nil {
		return nil, fmt.Errorf("a list of domains such as test,dev.example.com (%s)", fault.From(err).Message)
	}
	return append([]string{}, domains...), nil
}

// parseFile parses an absolute path, or "".
func parseFile(s string) (any, error) {
	if s != "" && !filepath.IsAbs(s) {
		return nil, fmt.Errorf("an absolute path")
	}
	return s, nil
}

// parseWords parses a list of names and globs such as "openai,ollama" or "gpt-4o*".
func parseWords(s string) (any, error) {
	out := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if strings.ContainsAny(part, " \t\r\n") || strings.Contains(strings.TrimSuffix(part, "*"), "*") {
			return nil, fmt.Errorf("a list of names, each with at most one * at its end, such as openai,gpt-4o*")
		}
		out = append(out, part)
	}
	return out, nil
}

func parseCount(s string) (any, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("a number, where 0 means no limit")
	}
	return int(n), nil
}
