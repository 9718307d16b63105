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

// maxSeries bounds a family: names of models and apps come from outside. What is past
// it is counted with "other" in their place.
const maxSeries = 1000

// other stands for what is past maxSeries.
const other = "other"

// family is one metric with all its series. The lock is Metrics'.
type family struct {
	name, help, kind string
	labels           []string
	open             []int     // indices of labels whose values are not a closed set
	bounds           []float64 // of a histogram, seconds
	unit             int64     // what one of a counter's steps is a fraction of; 0 is 1
	series           map[string]*series
}

// series is a counter's value, or a histogram's.
type series struct {
	values  []string
	count   int64
	sum     float64
	buckets []int64 // not cumulative; the last is beyond all bounds
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

func (f *family) observe(seconds float64, values ...string) {
	s := f.get(values...)
	s.count++
	s.sum += seconds
	i, _ := slices.BinarySearch(f.bounds, seconds)
	s.buckets[i]++
}

// escapes of label values, and of help texts but for the quote: Prometheus text format
// 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/.
var escapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// text writes the family.
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

// value is a counter's value, exact where it counts in fractions.
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
