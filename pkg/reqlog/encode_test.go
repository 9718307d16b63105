package reqlog

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/prices"
)

// TestEncode: rows are written as encoding/json writes them, byte for byte, and read back.
func TestEncode(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var r Row
		fill(rnd, reflect.ValueOf(&r).Elem())
		compare(t, &r, appendRow(nil, &r))
		var a AppRow
		fill(rnd, reflect.ValueOf(&a).Elem())
		compare(t, &a, appendAppRow(nil, &a))
	}
	compare(t, &Row{}, appendRow(nil, &Row{}))
	compare(t, &AppRow{}, appendAppRow(nil, &AppRow{}))
}

func compare[T any](t *testing.T, row *T, got []byte) {
	t.Helper()
	want, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("row\n%s, want\n%s", got, want)
	}
	var back T
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
}

// fill gives each exported field some value, the zero one now and then.
func fill(rnd *rand.Rand, v reflect.Value) {
	if rnd.IntN(6) == 0 {
		return
	}
	texts := []string{"gpt-5", `a "quoted" \ text`, "<script>&amp;", "日本\u2028\u2029", "tab\t, nul\x00, del\x7f", "ill\xff-formed", "", "sk_local_abcdefgh"}
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = time.Unix(rnd.Int64N(4e9), rnd.Int64N(1e9)*rnd.Int64N(2)).UTC()
		return
	case *prices.Nano:
		*p = prices.Nano(rnd.Int64() >> rnd.IntN(63) * (1 - 2*rnd.Int64N(2)))
		return
	case *Headers:
		for _, one := range headerNames {
			if rnd.IntN(2) == 0 {
				*p = append(*p, Header{one.name, texts[rnd.IntN(len(texts))]})
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[rnd.IntN(len(texts))])
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(rnd.Int64() >> rnd.IntN(64))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rnd, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rnd.IntN(3), 3))
		for i := range v.Len() {
			fill(rnd, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(rnd, v.Field(i))
			}
		}
	}
}
