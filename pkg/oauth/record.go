package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/hostless/hostless/pkg/config"
)

// entry is the stored information about a login. It contains nothing from which the key
// could be derived.
type entry struct {
	Hint string    `json:"hint"`
	At   time.Time `json:"logged_in_at"`
}

type file struct {
	Version int              `json:"version"`
	Logins  map[string]entry `json:"logins"`
}

func (l *Logins) load() (warnings []string, err error) {
	data, opened, err := config.ReadPrivate(l.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read logins: %w", err)
	}
	if opened {
		warnings = append(warnings, l.cfg.Path+" was readable by others; its permissions have been corrected")
	}
	var f file
	if bad := json.Unmarshal(data, &f); bad != nil || f.Version != 1 {
		aside, err := config.KeepAside(l.cfg.Path, l.cfg.Now())
		if err != nil {
			return warnings, fmt.Errorf("read logins: %w", err)
		}
		return append(warnings, fmt.Sprintf("%s could not be read; it is kept as %s", l.cfg.Path, aside)), nil
	}
	if f.Logins != nil {
		l.record = f.Logins
	}
	return warnings, nil
}

func (l *Logins) save() error {
	l.mu.Lock()
	f := file{Version: 1, Logins: maps.Clone(l.record)}
	l.mu.Unlock()
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return config.WritePrivate(l.cfg.Path, append(data, '\n'))
}
