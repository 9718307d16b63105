package modelist

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
)

// Page is a part of a list of models. It is the whole list unless the request asks for a
// page, which is possible in the Anthropic and Gemini APIs.
type Page struct {
	Models []Model
	More   bool   // there are more models in the requested direction
	Next   string // Gemini's page token; "" if there is none
}

// PageOf returns the page that the query parameters select. The error is fault.Invalid.
func PageOf(shape dialect.Name, query url.Values, all []Model) (Page, error) {
	switch shape {
	case dialect.Anthropic:
		return anthropicPage(query, all)
	case dialect.Gemini:
		return geminiPage(query, all)
	}
	return Page{Models: all}, nil
}

func anthropicPage(query url.Values, all []Model) (Page, error) {
	size, err := pageSize(query, "limit", 1, len(all))
	if err != nil {
		return Page{}, err
	}
	if id := query.Get("before_id"); id != "" {
		end, err := indexOf(all, id, "before_id")
		if err != nil {
			return Page{}, err
		}
		start := max(end-size, 0)
		return Page{Models: all[start:end], More: start > 0}, nil
	}
	start := 0
	if id := query.Get("after_id"); id != "" {
		if start, err = indexOf(all, id, "after_id"); err != nil {
			return Page{}, err
		}
		start++
	}
	end := min(start+size, len(all))
	return Page{Models: all[start:end], More: end < len(all)}, nil
}

func geminiPage(query url.Values, all []Model) (Page, error) {
	size, err := pageSize(query, "pageSize", 0, len(all))
	if err != nil {
		return Page{}, err
	}
	start := 0
	if token := query.Get("pageToken"); token != "" {
		id, _ := base64.RawURLEncoding.DecodeString(token)
		if start, err = indexOf(all, string(id), "pageToken"); err != nil {
			return Page{}, err
		}
	}
	end := len(all)
	if size > 0 {
		end = min(start+size, end)
	}
	p := Page{Models: all[start:end]}
	if end < len(all) {
		p.More, p.Next = true, base64.RawURLEncoding.EncodeToString([]byte(all[end].ID))
	}
	return p, nil
}

func pageSize(query url.Values, name string, least, otherwise int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, &fault.Error{Kind: fault.Invalid, Message: name + " must be a number of at least " + strconv.Itoa(least), Param: name}
	}
	return min(n, 1000), nil // the largest page size of both APIs
}

// indexOf returns the index of the model with an ID, which came from the parameter param.
func indexOf(all []Model, id, param string) (int, error) {
	i := slices.IndexFunc(all, func(m Model) bool { return m.ID == id })
	if i < 0 {
		return 0, &fault.Error{Kind: fault.Invalid, Message: param + " names no model of this list", Param: param}
	}
	return i, nil
}
