package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Members of config.json that `config set` does not know.
const (
	memberOrigins = "allowed_origins"
	memberOllama  = "ollama_api_models"
	memberModels  = "models"
	memberAPIs    = "model_apis"
	memberOAuth   = "oauth_clients"
	memberPrices  = "prices"
	memberAliases = "model_aliases"
	// by token
	memberTokenAliases = "token_model_aliases"

	memberCommands   = "commands"
	memberAttributes = "attributes"
)

// SettingsConfig configures Settings.
type SettingsConfig struct {
	Path   string           // config.json; required
	Now    func() time.Time // time.Now when nil
	Logger *slog.Logger     // discards when nil
}

// Settings is config.json. A setting that is not in it has its default. Members that this
// version does not know are kept. It is safe for concurrent use; reading a setting takes
// no lock.
type Settings struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	current  atomic.Pointer[snapshot]
	writing  sync.Mutex // held while the file is read, changed and written
	watching sync.Mutex
	watchers []func()
}

// snapshot is an immutable state of the settings.
type snapshot struct {
	members      map[string]json.RawMessage // as in the file
	values       map[string]any             // of all named settings
	chosen       map[string]bool            // the settings that the file contains
	proxies      []netip.Prefix
	origins      []string
	ollama       ollamaModels
	urls         map[string]string
	models       map[string][]string
	apis         map[string]string
	aliases      map[string][]string
	tokenAliases tokenAliases

	commands   map[string]Command
	attributes map[string]Attributes
}

// OpenSettings reads config.json. If it is missing, all settings have their defaults. A
// file that is not a JSON object is kept aside, and a member with an invalid value is
// ignored; warnings reports both. OpenSettings also removes temporary files of killed
// writers.
func OpenSettings(cfg SettingsConfig) (s *Settings, warnings []string, err error) {
	if cfg.Path == "" {
		return nil, nil, errors.New("settings need a path")
	}
	s = &Settings{path: cfg.Path, now: cfg.Now, log: cfg.Logger}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := Sweep(filepath.Dir(s.path), s.now()); err != nil {
		s.log.Warn("temporary files of interrupted writes cannot be removed", "error", err)
	}
	snap, warnings, err := s.read()
	var ruined *unreadable
	if errors.As(err, &ruined) {
		var aside string
		if aside, err = KeepAside(s.path, s.now()); err == nil {
			what := fmt.Sprintf("%s could not be read (%v); it is kept as %s and the defaults are in effect", s.path, ruined.why, aside)
			s.log.Warn("settings have a problem", "problem", what)
			warnings = append(warnings, what)
			snap, _ = interpret(map[string]json.RawMessage{}, nil)
		}
	}
	if err != nil {
		return nil, warnings, fmt.Errorf("read settings: %w", err)
	}
	s.current.Store(snap)
	return s, warnings, nil
}

// Reload reads config.json again and calls the OnChange functions if it has changed. On
// an error the settings stay as they were. A file that is not a JSON object is a
// fault.Invalid and is left in place for whoever is editing it.
func (s *Settings) Reload() (warnings []string, err error) {
	s.writing.Lock()
	snap, warnings, err := s.read()
	if err != nil {
		s.writing.Unlock()
		var ruined *unreadable
		if errors.As(err, &ruined) {
			f := &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s could not be read (%v): the settings are unchanged", s.path, ruined.why)}
			return append(warnings, f.Message), f
		}
		return warnings, fmt.Errorf("read settings: %w", err)
	}
	old := s.current.Swap(snap)
	s.writing.Unlock()
	if !maps.EqualFunc(old.members, snap.members, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		s.notify()
	}
	return warnings, nil
}

// OnChange registers a function that is called after each change by a setter or a reload,
// in the goroutine that made the change and without locks held.
func (s *Settings) OnChange(fn func()) {
	s.watching.Lock()
	defer s.watching.Unlock()
	s.watchers = append(s.watchers, fn)
}

func (s *Settings) notify() {
	s.watching.Lock()
	watchers := slices.Clone(s.watchers)
	s.watching.Unlock()
	for _, fn := range watchers {
		fn()
	}
}

// unreadable means that config.json is not a JSON object.
type unreadable struct{ why error }

func (u *unreadable) Error() string { return u.why.Error() }

// read reads the file. s.writing must be held.
func (s *Settings) read() (*snapshot, []string, error) {
	data, opened, err := ReadPrivate(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	var warnings []string
	if opened {
		warnings = append(warnings, s.path+" was readable by others; its permissions have been corrected")
	}
	members := map[string]json.RawMessage{}
	if err == nil {
		if bad := decodeObject(data, &members); bad != nil {
			return nil, warnings, &unreadable{bad}
		}
	}
	snap, problems := interpret(members, s.current.Load())
	for _, p := range problems {
		warnings = append(warnings, s.path+": "+p)
	}
	for _, w := range warnings {
		s.log.Warn("settings have a problem", "problem", w)
	}
	return snap, warnings, nil
}

// decodeObject decodes one JSON object with nothing after it.
func decodeObject(data []byte, into *map[string]json.RawMessage) error {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(into); err != nil {
		return err
	}
	if *into == nil {
		return errors.New("it is null")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after its end")
	}
	return nil
}

// interpret makes a snapshot from members. A member with an invalid value keeps its value
// from before, or its default if before is nil, as at startup.
func interpret(members map[string]json.RawMessage, before *snapshot) (*snapshot, []string) {
	snap := &snapshot{members: members, values: map[string]any{}, chosen: map[string]bool{}, origins: []string{}, ollama: ollamaModels{}, models: map[string][]string{}, aliases: map[string][]string{}, tokenAliases: tokenAliases{}}
	if before == nil {
		before = snap
	}
	var problems []string
	for _, def := range settings {
		snap.values[def.name], _ = def.value(def.def)
		raw, ok := settingMember(members, def.name)
		if !ok {
			continue
		}
		v, err := def.fromJSON(raw)
		if err != nil {
			problems = append(problems, err.Error())
			snap.values[def.name], snap.chosen[def.name] = before.values[def.name], before.chosen[def.name]
			continue
		}
		snap.values[def.name], snap.chosen[def.name] = v, true
	}
	if list, ok := snap.values[TrustedProxies].([]string); ok {
		for _, text := range list {
			snap.proxies = append(snap.proxies, netip.MustParsePrefix(text))
		}
	}
	snap.ollama = member(members, memberOllama, snap.ollama, before.ollama, &problems)
	snap.urls = member(members, memberURLs, nil, before.urls, &problems)
	snap.models = member(members, memberModels, snap.models, before.models, &problems)
	snap.apis = member(members, memberAPIs, nil, before.apis, &problems)
	for _, model := range slices.Sorted(maps.Keys(snap.apis)) {
		if api := snap.apis[model]; api != "chat" && api != "responses" || !strings.Contains(model, "/") {
			problems = append(problems, fmt.Sprintf("%s: %q: %q is not valid: map PROVIDER/MODEL, or PROVIDER/PREFIX*, to chat or responses", memberAPIs, model, api))
		}
	}
	snap.aliases = member(members, memberAliases, snap.aliases, before.aliases, &problems)
	snap.tokenAliases = member(members, memberTokenAliases, snap.tokenAliases, before.tokenAliases, &problems)
	snap.commands = member(members, memberCommands, snap.commands, before.commands, &problems)
	snap.attributes = member(members, memberAttributes, snap.attributes, before.attributes, &problems)
	var rawOrigins []json.RawMessage
	for _, o := range before.origins {
		rawOrigins = append(rawOrigins, mustJSON(o))
	}
	origins := member(members, memberOrigins, nil, rawOrigins, &problems)
	for _, raw := range origins {
		o := string(raw)
		json.Unmarshal(raw, &o) // a value that is not a string fails as an origin
		normal, err := NormalizeOrigin(o)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		if !slices.Contains(snap.origins, normal) {
			snap.origins = append(snap.origins, normal)
		}
	}
	slices.Sort(problems)
	return snap, problems
}

// member decodes a member that is not a named setting: none if it is absent, before if it
// has the wrong type.
func member[T any](members map[string]json.RawMessage, name string, none, before T, problems *[]string) T {
	raw, ok := members[name]
	if !ok || string(raw) == "null" {
		return none
	}
	var v T
	if json.Unmarshal(raw, &v) != nil {
		*problems = append(*problems, name+" has the wrong type")
		return before
	}
	return v
}

// change reads the current file, calls edit to change its members, and writes it, so that
// manual edits are kept. A file that cannot be read is kept aside, and the previous
// settings are changed and written instead. If edit changes nothing, nothing is written.
func (s *Settings) change(edit func(snap *snapshot, members map[string]json.RawMessage) (bool, error)) error {
	s.writing.Lock()
	snap, _, err := s.read()
	var ruined *unreadable
	if errors.As(err, &ruined) {
		snap, err = s.current.Load(), nil
	}
	if err != nil {
		s.writing.Unlock()
		return fmt.Errorf("read settings: %w", err)
	}
	members := maps.Clone(snap.members)
	changed, err := edit(snap, members)
	if err == nil && ruined != nil {
		var aside string
		if aside, err = KeepAside(s.path, s.now()); err == nil {
			s.log.Warn("settings have a problem", "problem", fmt.Sprintf("%s could not be read (%v); it is kept as %s, and the previous settings are written", s.path, ruined.why, aside))
			changed = true
		}
	}
	if err == nil && changed {
		var data []byte
		if data, err = json.MarshalIndent(members, "", "  "); err == nil {
			err = WritePrivate(s.path, append(data, '\n'))
		}
		snap, _ = interpret(members, snap)
	}
	if err != nil {
		s.writing.Unlock()
		return err
	}
	s.current.Store(snap)
	s.writing.Unlock()
	if changed {
		s.notify()
	}
	return nil
}

func mustJSON(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and lists of strings always marshal
	}
	return data
}

// Get returns a setting as text: its value, or its default if it is not set.
func (s *Settings) Get(name string) (string, error) {
	def, err := lookup(name)
	if err != nil {
		return "", err
	}
	return text(s.value(def.name)), nil
}

// value returns a named setting's value or default.
func (s *Settings) value(name string) any { return s.current.Load().values[name] }

// Chosen reports whether the setting is set in the file, by a user or by an installation.
func (s *Settings) Chosen(name string) bool {
	def, err := lookup(name)
	if err != nil {
		return false
	}
	return s.current.Load().chosen[def.name]
}

// Set sets a setting from text. An invalid value is a fault.Invalid that describes the
// valid ones. When Set returns, the change is on disk.
func (s *Settings) Set(name, value string) error {
	return s.Patch(map[string]json.RawMessage{name: mustJSON(value)})
}

// Patch changes several settings, or none if a value is invalid. A value has the
// setting's JSON type or is its text; null restores the default.
func (s *Settings) Patch(values map[string]json.RawMessage) error {
	checked := map[string]json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		def, err := lookup(name)
		if err != nil {
			return err
		}
		if raw := bytes.TrimSpace(values[name]); len(raw) == 0 || string(raw) == "null" {
			checked[def.name] = nil
			continue
		}
		v, err := def.fromJSON(values[name])
		if err != nil {
			return err
		}
		checked[def.name] = mustJSON(v)
	}
	return s.change(func(_ *snapshot, members map[string]json.RawMessage) (bool, error) {
		changed := false
		for name, raw := range checked {
			old, was := members[name]
			if earlier := earlierName(name); earlier != name && members[earlier] != nil {
				delete(members, earlier)
				changed = true
			}
			switch {
			case raw == nil && was:
				delete(members, name)
				changed = true
			case raw != nil && !bytes.Equal(old, raw):
				members[name] = raw
				changed = true
			}
		}
		return changed, nil
	})
}

// Values returns all named settings with their JSON values.
func (s *Settings) Values() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, def := range settings {
		out[def.name] = mustJSON(s.value(def.name))
	}
	return out
}

// AddOrigin allows an origin. It is not an error if the origin is already allowed.
func (s *Settings) AddOrigin(origin string) error {
	normal, err := NormalizeOrigin(origin)
	if err != nil {
		return err
	}
	return s.change(func(snap *snapshot, members map[string]json.RawMessage) (bool, error) {
		if slices.Contains(snap.origins, normal) {
			return false, nil
		}
		list, err := originMember(members)
		members[memberOrigins] = mustJSON(append(list, mustJSON(normal)))
		return true, err
	})
}

// RemoveOrigin removes an allowed origin. If it is not in the list, the error is
// fault.NotFound.
func (s *Settings) RemoveOrigin(origin string) error {
	normal, err := NormalizeOrigin(origin)
	if err != nil {
		return err
	}
	return s.change(func(snap *snapshot, members map[string]json.RawMessage) (bool, error) {
		if !slices.Contains(snap.origins, normal) {
			return false, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("origin %s is not in the list", normal), Next: "hostless origins list", Param: "origin"}
		}
		list, err := originMember(members)
		members[memberOrigins] = mustJSON(slices.DeleteFunc(list, func(raw json.RawMessage) bool {
			var o string
			json.Unmarshal(raw, &o) // a value that is not a string is not the origin, and stays
			o, err := NormalizeOrigin(o)
			return err == nil && o == normal
		}))
		return true, err
	})
}

// originMember returns the list of origins as it is in the file, including invalid ones.
func originMember(members map[string]json.RawMessage) (list []json.RawMessage, err error) {
	list = []json.RawMessage{}
	if raw, ok := members[memberOrigins]; ok && json.Unmarshal(raw, &list) != nil {
		err = &fault.Error{Kind: fault.Invalid, Message: memberOrigins + " in config.json is not a list: correct it first"}
	}
	return list, err
}
