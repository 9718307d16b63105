package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

func errDepth(i int) error {
	return &SyntaxError{Offset: i, Reason: "nested too deeply"}
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns the end of the value that begins at data[i], with depth values
// around it.
func skipValue(data []byte, i, depth int) (end int, err error) {
	var objects [MaxDepth / 64]uint64 // one bit for each open container: 1 for an object
	open := depth
value:
	if i >= len(data) {
		return 0, &SyntaxError{Offset: i}
	}
	switch c := data[i]; c {
	case '"':
		if i, err = skipString(data, i); err != nil {
			return 0, err
		}
	case '{', '[':
		if open >= MaxDepth {
			return 0, errDepth(i)
		}
		bit := uint64(1) << (open & 63)
		i = skipSpace(data, i+1)
		if i < len(data) && data[i] == c+2 { // '{' and '}', like '[' and ']', are two apart in ASCII
			i++
			break
		}
		if c == '{' {
			objects[open>>6] |= bit
			open++
			goto key
		}
		objects[open>>6] &^= bit
		open++
		goto value
	case 't':
		if i, err = skipWord(data, i, "true"); err != nil {
			return 0, err
		}
	case 'f':
		if i, err = skipWord(data, i, "false"); err != nil {
			return 0, err
		}
	case 'n':
		if i, err = skipWord(data, i, "null"); err != nil {
			return 0, err
		}
	default:
		if i, err = skipNumber(data, i); err != nil {
			return 0, err
		}
	}
next:
	if open == depth {
		return i, nil
	}
	i = skipSpace(data, i)
	if i >= len(data) {
		return 0, &SyntaxError{Offset: i}
	}
	switch object := objects[(open-1)>>6]&(1<<((open-1)&63)) != 0; {
	case data[i] == ',':
		if i = skipSpace(data, i+1); object {
			goto key
		}
		goto value
	case object && data[i] == '}', !object && data[i] == ']':
		i++
		open--
		goto next
	}
	return 0, &SyntaxError{Offset: i}
key:
	if i >= len(data) || data[i] != '"' {
		return 0, &SyntaxError{Offset: i}
	}
	if i, err = skipString(data, i); err != nil {
		return 0, err
	}
	if i = skipSpace(data, i); i >= len(data) || data[i] != ':' {
		return 0, &SyntaxError{Offset: i}
	}
	i = skipSpace(data, i+1)
	goto value
}

func skipWord(data []byte, i int, word string) (int, error) {
	if end := i + len(word); end <= len(data) && string(data[i:end]) == word {
		return end, nil
	}
	return 0, &SyntaxError{Offset: i}
}

func skipNumber(data []byte, i int) (int, error) {
	if i < len(data) && data[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(data) && data[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if i < len(data) && data[i] == '0' {
		i++
	} else if !digits() {
		return 0, &SyntaxError{Offset: i}
	}
	if i < len(data) && data[i] == '.' {
		if i++; !digits() {
			return 0, &SyntaxError{Offset: i}
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		if i++; i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		if !digits() {
			return 0, &SyntaxError{Offset: i}
		}
	}
	return i, nil
}

const (
	low  = 0x0101010101010101
	high = 0x8080808080808080
)

// special returns the index, from i on, of the next byte that cannot stand
// unescaped in a JSON string: a quote, a backslash or a control character. It looks
// at eight bytes at a time.
func special[T string | []byte](data T, i int) int {
	for ; i+8 <= len(data); i += 8 {
		w := load(data, i)
		quote, slash := w^(low*'"'), w^(low*'\\')
		// The high bit of a byte marks a match. Only the lowest set bit is exact,
		// and that is the one that is looked for.
		m := ((w-low*0x20)&^w | (quote-low)&^quote | (slash-low)&^slash) & high
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c < 0x20 || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

func load[T string | []byte](data T, i int) uint64 {
	// The compiler turns this into one load.
	d := data[i : i+8]
	return uint64(d[0]) | uint64(d[1])<<8 | uint64(d[2])<<16 | uint64(d[3])<<24 |
		uint64(d[4])<<32 | uint64(d[5])<<40 | uint64(d[6])<<48 | uint64(d[7])<<56
}

// skipString returns the end of the string that opens at data[i].
func skipString(data []byte, i int) (int, error) {
	i++
	for {
		for ; i+8 <= len(data); i += 8 { // special, inlined: most of the time is spent here
			w := binary.LittleEndian.Uint64(data[i:])
			quote, slash := w^(low*'"'), w^(low*'\\')
			if m := ((w-low*0x20)&^w | (quote-low)&^quote | (slash-low)&^slash) & high; m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				goto found
			}
		}
		for i < len(data) && data[i] >= 0x20 && data[i] != '"' && data[i] != '\\' {
			i++
		}
		if i >= len(data) {
			return 0, &SyntaxError{Offset: i, Reason: "unterminated string"}
		}
	found:
		switch data[i] {
		case '"':
			return i + 1, nil
		case '\\':
			if i+1 >= len(data) {
				return 0, &SyntaxError{Offset: i, Reason: "unterminated string"}
			}
			switch data[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if _, ok := hex4(data, i+2); !ok {
					return 0, &SyntaxError{Offset: i, Reason: "invalid escape"}
				}
				i += 6
			default:
				return 0, &SyntaxError{Offset: i, Reason: "invalid escape"}
			}
		default:
			return 0, &SyntaxError{Offset: i, Reason: "control character in a string"}
		}
	}
}

// hex4 reads four hexadecimal digits at i.
func hex4(data []byte, i int) (rune, bool) {
	if i+4 > len(data) {
		return 0, false
	}
	var r rune
	for _, c := range data[i : i+4] {
		switch {
		case c-'0' <= 9:
			r = r<<4 | rune(c-'0')
		case c|0x20-'a' <= 5:
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
