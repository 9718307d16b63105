package modelist

import (
	"slices"

	"github.com/hostless/hostless/pkg/gateway/plan"
)

// aliases returns the aliases that the caller may use and that can be served, except those
// with the name of a model that is listed already.
func (s *Service) aliases(settings plan.Settings, allowed func(provider, model string) bool, listed []Model) (all []Model) {
	for _, name := range settings.Aliases.Names() {
		if slices.ContainsFunc(listed, func(m Model) bool { return m.ID == name }) {
			continue // a real model has this name
		}
		if m, ok := s.alias(name, settings, allowed, listed); ok {
			all = append(all, m)
		}
	}
	return all
}

// alias returns the list entry of an alias, or of a name that an alias pattern matches. It
// describes the first target that the caller may use. ok is false if there is none.
func (s *Service) alias(name string, settings plan.Settings, allowed func(provider, model string) bool, listed []Model) (m Model, ok bool) {
	targets := settings.Aliases.Targets(name)
	if targets == nil {
		return Model{}, false
	}
	usable := s.usable(settings)
	for _, target := range targets {
		to, err := s.Planner.Target(target, settings)
		if err != nil || !slices.Contains(usable, to.Provider) || !allowed(to.Provider, to.Model) {
			continue
		}
		m = Model{ID: name, Provider: to.Provider, Info: Info{ID: to.Model}}
		for i := range listed {
			if listed[i].Provider == to.Provider && listed[i].Info.ID == to.Model {
				m.Info = listed[i].Info
			}
		}
		m.Title, m.Owner, m.Raw = name, "hostless", nil
		return m, true
	}
	return Model{}, false
}
