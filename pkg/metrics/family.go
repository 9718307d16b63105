package metrics

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxSeries is the maximum number of series of a family, because names of models
// and apps come from outside. Further ones are counted with "other" in place of
// these names.
const maxSeries = 1000

// other replaces names beyond maxSeries.
const other = "other"

// family is one metric with all its series. It is guarded by the lock of Metrics.
type family struct {
	name, help, kind string
	labels           []string
	open             []int     // indices of labels that can have any value
	bounds           []float64 // of a histogram, in seconds
	unit             int64     // how many steps of a counter make one; 0 means 1
	series           map[string]*series
}

// series is the state of a counter or a histogram.
type series struct {
	values  []string
	count   int64
	sum     float64
	buckets []int64 // not cumulative; the last one is above all bounds
}

func (f *family) get(values ...string) *series {
	key := strings.Join(values, "\xff")
	s := f.series[key]
	if s == nil && len(f.series) >= maxSeries && len(f.open) > 0 {
		values = slices.Clone(values)
		for _, i := range f.open {
			values[i] = other
		}
		key = strings.Join(values, "\xff")
		s = f.series[key]
	}
	if s == nil {
		s = &series{values: slices.Clone(values)}
		if f.bounds != nil {
			s.buckets = make([]int64, len(f.bounds)+1)
		}
		f.series[key] = s
	}
	return s
}

func (f *family) add(n int64, values ...string) {
	f.get(values...).count += n
}

// observe takes a value into a series of f.
func (f *family) observe(s *series, seconds float64) {
	s.count++
	s.sum += seconds
	i, _ := slices.BinarySearch(f.bounds, seconds)
	s.buckets[i]++
}

// escapes are the escapes of label values, and, except for the quote, of help
// texts, in the Prometheus text format 0.0.4:
// https://prometheus.io/docs/instrumenting/exposition_formats/.
var escapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// text writes the family in the text format.
func (f *family) text(w io.Writer) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
	for _, key := range slices.Sorted(maps.Keys(f.series)) {
		s := f.series[key]
		pairs := make([]string, len(f.labels), len(f.labels)+1)
		for i, name := range f.labels {
			pairs[i] = name + `="` + escapes.Replace(s.values[i]) + `"`
		}
		if f.bounds == nil {
			fmt.Fprintf(w, "%s%s %s\n", f.name, braces(pairs), f.value(s.count))
			continue
		}
		var below int64
		for i, n := range s.buckets {
			bound := math.Inf(1)
			if i < len(f.bounds) {
				bound = f.bounds[i]
			}
			below += n
			fmt.Fprintf(w, "%s_bucket%s %d\n", f.name, braces(append(pairs, `le="`+number(bound)+`"`)), below)
		}
		fmt.Fprintf(w, "%s_sum%s %s\n%s_count%s %d\n", f.name, braces(pairs), number(s.sum), f.name, braces(pairs), s.count)
	}
}

// value formats a counter's value; fractions are exact.
func (f *family) value(n int64) string {
	if f.unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	text := fmt.Sprintf("%d.%09d", n/f.unit, n%f.unit)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func braces(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
