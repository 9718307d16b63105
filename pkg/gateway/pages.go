package gateway

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
)

// page is a part of a list of models. A list is whole unless its asker pages it,
// as Anthropic's and Google's clients may; OpenAI's has no pages.
type page struct {
	models []listed
	more   bool   // in the direction that was asked for
	next   string // Gemini's token of the page behind this one, or ""
}

// pageOf cuts the page that a query asks for.
func pageOf(shape dialect.Name, query url.Values, all []listed) (page, error) {
	switch shape {
	case dialect.Anthropic:
		return anthropicPage(query, all)
	case dialect.Gemini:
		return geminiPage(query, all)
	}
	return page{models: all}, nil
}

func anthropicPage(query url.Values, all []listed) (page, error) {
	size, err := pageSize(query, "limit", 1, len(all))
	if err != nil {
		return page{}, err
	}
	if id := query.Get("before_id"); id != "" {
		end, err := standing(all, id, "before_id")
		if err != nil {
			return page{}, err
		}
		start := max(end-size, 0)
		return page{models: all[start:end], more: start > 0}, nil
	}
	start := 0
	if id := query.Get("after_id"); id != "" {
		if start, err = standing(all, id, "after_id"); err != nil {
			return page{}, err
		}
		start++
	}
	end := min(start+size, len(all))
	return page{models: all[start:end], more: end < len(all)}, nil
}

func geminiPage(query url.Values, all []listed) (page, error) {
	size, err := pageSize(query, "pageSize", 0, len(all))
	if err != nil {
		return page{}, err
	}
	start := 0
	if token := query.Get("pageToken"); token != "" {
		id, _ := base64.RawURLEncoding.DecodeString(token)
		if start, err = standing(all, string(id), "pageToken"); err != nil {
			return page{}, err
		}
	}
	end := len(all)
	if size > 0 {
		end = min(start+size, end)
	}
	p := page{models: all[start:end]}
	if end < len(all) {
		p.more, p.next = true, base64.RawURLEncoding.EncodeToString([]byte(all[end].ID))
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
	return min(n, 1000), nil // theirs is no larger
}

// standing is where a model stands in the list.
func standing(all []listed, id, param string) (int, error) {
	i := slices.IndexFunc(all, func(m listed) bool { return m.ID == id })
	if i < 0 {
		return 0, &fault.Error{Kind: fault.Invalid, Message: param + " names no model of this list", Param: param}
	}
	return i, nil
}
