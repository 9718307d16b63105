package jsonscan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Skim visits the members of the JSON object in data, as Object does, but reads
// only what decides where a member begins and ends. It is several times as fast if
// strings are long. Use it if the text is passed on unchanged and a stricter reader
// decides whether it is valid JSON.
//
// It guarantees that no reader, however lenient, finds other members than the
// visited ones:
//
//   - names, and everything between members, are checked strictly;
//   - brackets match, and values nest at most MaxDepth deep;
//   - outside of strings only the bytes of JSON's own tokens are accepted, so that
//     neither comments nor other quotes can hide anything;
//   - the text is UTF-8;
//   - a string ends at the first unescaped quote, and no quote cuts a \u escape
//     short, where a careless reader could take it for one of the four digits.
//
// It does not check the syntax inside a value beyond that: numbers and literals,
// commas within arrays, other escapes, control characters. Check a value before
// reading it with Members or Elements.
func Skim(data []byte, visit func(key []byte, value Span) error) (closing int, err error) {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '{' {
		return 0, ErrNotObject
	}
	// One check of the whole text is enough: outside of strings only ASCII is
	// accepted.
	if !utf8.Valid(data) {
		return 0, fmt.Errorf("%w: it is not UTF-8", ErrNotObject)
	}
	wrong := func(i int) error { return fmt.Errorf("%w: %w", ErrNotObject, &SyntaxError{Offset: i}) }
	if i = skipSpace(data, i+1); i < len(data) && data[i] == '}' {
		return skimEnd(data, i)
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return 0, wrong(i)
		}
		end, err := skipString(data, i)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrNotObject, err)
		}
		name, _ := Unquote(data[i:end])
		if i = skipSpace(data, end); i >= len(data) || data[i] != ':' {
			return 0, wrong(i)
		}
		i = skipSpace(data, i+1)
		if end = skimValue(data, i); end < 0 {
			return 0, wrong(i)
		}
		if err := visit(name, Span{i, end}); err != nil {
			return 0, err
		}
		if i = skipSpace(data, end); i >= len(data) {
			return 0, wrong(i)
		}
		switch data[i] {
		case '}':
			return skimEnd(data, i)
		case ',':
			i = skipSpace(data, i+1)
		default:
			return 0, wrong(i)
		}
	}
}

// SkimElements visits the elements of the JSON array in data, in order, with the
// same guarantees as Skim.
func SkimElements(data []byte, visit func(value Span) error) error {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '[' {
		return &SyntaxError{Offset: i, Reason: "not an array"}
	}
	if !utf8.Valid(data) {
		return &SyntaxError{Reason: "not UTF-8"}
	}
	if i = skipSpace(data, i+1); i < len(data) && data[i] == ']' {
		_, err := skimEnd(data, i)
		return err
	}
	for {
		end := skimValue(data, i)
		if end < 0 {
			return &SyntaxError{Offset: i}
		}
		if err := visit(Span{i, end}); err != nil {
			return err
		}
		if i = skipSpace(data, end); i >= len(data) {
			return &SyntaxError{Offset: i}
		}
		switch data[i] {
		case ']':
			_, err := skimEnd(data, i)
			return err
		case ',':
			i = skipSpace(data, i+1)
		default:
			return &SyntaxError{Offset: i}
		}
	}
}

func skimEnd(data []byte, closing int) (int, error) {
	if rest := skipSpace(data, closing+1); rest != len(data) {
		return 0, fmt.Errorf("%w: %w", ErrNotObject, &SyntaxError{Offset: rest})
	}
	return closing, nil
}

// Classes of bytes outside of strings.
const (
	classOther  = iota // not a byte of JSON
	classSpace         // whitespace
	classWord          // a byte of a number or a literal
	classPoint         // a comma or a colon
	classOpen          // an opening bracket
	classClose         // a closing bracket
	classString        // a quote
)

var class = func() (c [256]uint8) {
	for _, b := range []byte(" \t\r\n") {
		c[b] = classSpace
	}
	for b := range 256 {
		if b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' {
			c[b] = classWord
		}
	}
	for _, b := range []byte("+-.") {
		c[b] = classWord
	}
	for _, b := range []byte(",:") {
		c[b] = classPoint
	}
	for _, b := range []byte("[{") {
		c[b] = classOpen
	}
	for _, b := range []byte("]}") {
		c[b] = classClose
	}
	c['"'] = classString
	return c
}()

// skimValue returns the end of the value that begins at data[i], or -1 if there is
// none.
func skimValue(data []byte, i int) int {
	if i >= len(data) {
		return -1
	}
	switch class[data[i]] {
	case classString:
		return skimString(data, i)
	case classWord:
		for i < len(data) && class[data[i]] == classWord {
			i++
		}
		return i
	case classOpen:
		return skimNested(data, i)
	}
	return -1
}

// skimString returns the end of the string that opens at data[i], or -1 if it does
// not end.
func skimString(data []byte, i int) int {
	from := i + 1
	for {
		next := bytes.IndexByte(data[from:], '"')
		if next < 0 {
			return -1
		}
		quote := from + next
		run := quote // start of the backslashes before the quote
		for run > i+1 && data[run-1] == '\\' {
			run--
		}
		// The backslash of a \u that is cut short is two to five bytes before the
		// quote.
		if run-i <= 5 || mayHoldBackslash(data[run-5:]) {
			if cutShort(data[i+1 : run]) {
				return -1
			}
		}
		if (quote-run)&1 == 0 {
			return quote + 1
		}
		from = quote + 1
	}
}

// mayHoldBackslash reports whether one of the first four bytes of text is a backslash.
func mayHoldBackslash(text []byte) bool {
	w := binary.LittleEndian.Uint32(text) ^ '\\'*0x01010101
	return (w-0x01010101)&^w&0x80808080 != 0
}

// cutShort reports whether text, which is followed by a quote or a backslash, ends
// within the four digits of a \u.
func cutShort(text []byte) bool {
	for u := len(text) - 1; u > 0 && u >= len(text)-4; u-- {
		if text[u] != 'u' || text[u-1] != '\\' {
			continue
		}
		run := u - 1
		for run > 0 && text[run-1] == '\\' {
			run--
		}
		return (u-run)%2 == 1 // otherwise the backslash is itself escaped
	}
	return false
}

func skimNested(data []byte, i int) int {
	var opened [MaxDepth - 1]byte // within the object that is skimmed
	depth := 0
	for i < len(data) {
		switch c := data[i]; class[c] {
		case classString:
			if i = skimString(data, i); i < 0 {
				return -1
			}
			continue
		case classOpen:
			if depth == len(opened) {
				return -1
			}
			opened[depth] = c
			depth++
		case classClose:
			depth--
			if opened[depth] != c-2 { // '[' and ']', like '{' and '}', are two apart in ASCII
				return -1
			}
			if depth == 0 {
				return i + 1
			}
		case classOther:
			return -1
		}
		i++
	}
	return -1
}
