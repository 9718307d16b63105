package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// The settings of config.json that have a name, as `config get` and `set` know
// them.
const (
	TokenPersistence = "token-persistence" // off, file, keychain
	KeyStorage       = "key-storage"       // auto, file; keychain comes with the vault, until then it is refused
	StreamUsage      = "stream-usage"      // on, off
	HTTPSRedirect    = "https-redirect"    // true, false
	WildcardRoutes   = "wildcard-routes"   // true, false
	Echo             = "echo"              // on, off
	TrustedProxies   = "trusted-proxies"   // CSV of CIDRs
	Port             = "port"              // 0 to 65535
)

// The values of TokenPersistence.
const (
	PersistOff      = "off"
	PersistFile     = "file"
	PersistKeychain = "keychain"
)

// The values of KeyStorage.
const (
	StorageAuto = "auto"
	StorageFile = "file"
)

// setting is how one named setting is checked and kept.
type setting struct {
	name  string
	allow []string // the words it takes, or none
	flag  bool     // kept as a JSON boolean
	def   string   // as text
	parse func(string) (any, error)
}

// settings lists the named settings in the order in which they are listed.
var settings = []setting{
	{name: Port, def: strconv.Itoa(DefaultPort), parse: parsePort},
	{name: TokenPersistence, def: PersistOff, allow: []string{PersistOff, PersistFile, PersistKeychain}},
	{name: KeyStorage, def: StorageAuto, allow: []string{StorageAuto, StorageFile}},
	{name: StreamUsage, def: "on", allow: []string{"on", "off"}},
	{name: Echo, def: "on", allow: []string{"on", "off"}},
	{name: HTTPSRedirect, def: "false", allow: []string{"true", "false"}, flag: true},
	{name: WildcardRoutes, def: "false", allow: []string{"true", "false"}, flag: true},
	{name: TrustedProxies, def: "", parse: parseCIDRs},
}

// Names tells the names of all settings.
func Names() []string {
	var out []string
	for _, s := range settings {
		out = append(out, s.name)
	}
	return out
}

// lookup finds a setting by its name; `_` is taken for `-`.
func lookup(name string) (setting, error) {
	canonical := strings.ReplaceAll(name, "_", "-")
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == canonical })
	if i < 0 {
		return setting{}, &fault.Error{
			Kind:    fault.Invalid,
			Message: fmt.Sprintf("there is no setting %.80q; there are %s", name, strings.Join(Names(), ", ")),
			Next:    "hostless config list", Param: name,
		}
	}
	return settings[i], nil
}

// value checks a text and gives what config.json keeps for it.
func (s setting) value(text string) (any, error) {
	text = strings.TrimSpace(text)
	bad := func(what string) error {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s is %s, not %.80q", s.name, what, text), Param: s.name}
	}
	if s.parse != nil {
		v, err := s.parse(text)
		if err != nil {
			return nil, bad(err.Error())
		}
		return v, nil
	}
	word := strings.ToLower(text)
	if len(s.allow) == 2 { // the two ways of saying yes and no mean the same
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

// fromJSON checks a member of config.json or of a change: the setting's own
// JSON type, or its text.
func (s setting) fromJSON(raw json.RawMessage) (any, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: s.name + " is no JSON value", Param: s.name, Err: err}
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
				return nil, &fault.Error{Kind: fault.Invalid, Message: s.name + " is a list of strings", Param: s.name}
			}
			words = append(words, word)
		}
		return s.value(strings.Join(words, ","))
	}
	return nil, &fault.Error{Kind: fault.Invalid, Message: s.name + " cannot be an object", Param: s.name}
}

// text is the form in which a person sees a value.
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
