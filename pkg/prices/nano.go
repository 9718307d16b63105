package prices

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Nano is an amount of money in nano-dollars (10⁻⁹ US dollars). As text, and in
// JSON, it is a decimal string of dollars without trailing zeros: "0.000125".
type Nano int64

// Dollar is one US dollar.
const Dollar Nano = 1_000_000_000

// String writes the amount in dollars.
func (n Nano) String() string { return string(n.Append(make([]byte, 0, 24))) }

// Append appends the amount in dollars, as String writes it.
func (n Nano) Append(b []byte) []byte {
	u := uint64(n)
	if n < 0 {
		b, u = append(b, '-'), -u
	}
	b = strconv.AppendUint(b, u/uint64(Dollar), 10)
	frac := u % uint64(Dollar)
	if frac == 0 {
		return b
	}
	b = append(b, '.')
	for unit := uint64(Dollar) / 10; frac > 0; unit /= 10 {
		b = append(b, byte('0'+frac/unit))
		frac %= unit
	}
	return b
}

// ParseNano parses an amount in dollars, such as "0.075" or "1e-7". It rounds to
// the nearest nano-dollar, halves away from zero.
func ParseNano(text string) (Nano, error) {
	if n, ok := plain(text); ok {
		return n, nil
	}
	if len(text) > 40 {
		return 0, fmt.Errorf("%.40q is not an amount in dollars", text)
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/_xXpP") {
		return 0, fmt.Errorf("%q is not an amount in dollars", text)
	}
	r.Mul(r, big.NewRat(int64(Dollar), 1))
	n, ok := new(big.Int).SetString(r.FloatString(0), 10)
	if !ok || !n.IsInt64() {
		return 0, fmt.Errorf("%q is too large an amount", text)
	}
	return Nano(n.Int64()), nil
}

// plain is the fast path of ParseNano for what String writes: amounts that are not
// negative, with at most nine digits on either side of the point.
func plain(text string) (Nano, bool) {
	whole, frac, _ := strings.Cut(text, ".")
	if len(whole) == 0 || len(whole) > 9 || len(frac) > 9 {
		return 0, false
	}
	var n int64
	for i := range len(whole) + 9 {
		digit := byte('0')
		switch {
		case i < len(whole):
			digit = whole[i]
		case i-len(whole) < len(frac):
			digit = frac[i-len(whole)]
		}
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = n*10 + int64(digit-'0')
	}
	return Nano(n), true
}

// MarshalJSON implements json.Marshaler.
func (n Nano) MarshalJSON() ([]byte, error) {
	return append(n.Append(append(make([]byte, 0, 24), '"')), '"'), nil
}

// UnmarshalJSON implements json.Unmarshaler. It accepts numbers as well as strings.
func (n *Nano) UnmarshalJSON(data []byte) error {
	text := string(data)
	if len(text) > 1 && text[0] == '"' && !strings.Contains(text, `\`) {
		text = text[1 : len(text)-1]
	} else if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	v, err := ParseNano(text)
	if err == nil {
		*n = v
	}
	return err
}
