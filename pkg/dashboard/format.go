package dashboard

import (
	"cmp"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
)

// helpers format values for people. Times are in this machine's time zone.
var helpers = template.FuncMap{
	"model": modelOf, "clock": clock, "stamp": stamp, "took": took, "cost": costOf, "exact": exactCost, "money": money,
	"grouped": grouped, "short": short, "speed": speed, "fault": faultOf, "when": when, "rate": rate, "breakable": breakable,
}

// modelOf returns the model that responded, else the requested path.
func modelOf(r *reqlog.Row) string { return cmp.Or(r.Answered(), r.Path) }

// clock formats the time of day, with the date unless that is today.
func clock(t time.Time) string {
	t = t.Local()
	if t.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan 15:04")
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000 -0700") }

// when formats a time in the future.
func when(t time.Time) string {
	t = t.Local()
	if now := time.Now(); t.Sub(now) < 24*time.Hour {
		return "at " + t.Format("15:04")
	}
	return "on " + t.Format("Mon 2 Jan, 15:04")
}

// took formats milliseconds.
func took(ms int64) string {
	switch {
	case ms < 1000:
		return strconv.FormatInt(ms, 10) + " ms"
	case ms < 60_000:
		return strconv.FormatFloat(float64(ms)/1000, 'f', 1, 64) + " s"
	case ms < 3_600_000:
		return fmt.Sprintf("%d:%02d min", ms/60_000, ms/1000%60)
	}
	return fmt.Sprintf("%d:%02d h", ms/3_600_000, ms/60_000%60)
}

// money formats a rounded amount; the log has exact nano-dollars.
func money(n prices.Nano) string {
	dollars := float64(n) / float64(prices.Dollar)
	switch abs := max(dollars, -dollars); {
	case n == 0:
		return "$0"
	case abs < 0.0001:
		return "<$0.0001"
	case abs < 0.1:
		return fmt.Sprintf("$%.4f", dollars)
	}
	whole, frac, _ := strings.Cut(fmt.Sprintf("%.2f", dollars), ".")
	n64, _ := strconv.ParseInt(whole, 10, 64)
	return "$" + grouped(n64) + "." + frac
}

func costOf(r *reqlog.Row) string {
	if !r.Priced || r.CostUSD == nil {
		return "unpriced"
	}
	return money(*r.CostUSD)
}

func exactCost(r *reqlog.Row) string {
	if !r.Priced || r.CostUSD == nil {
		return "unpriced"
	}
	return "$" + r.CostUSD.String()
}

// grouped formats a number with thin spaces between groups of three digits.
func grouped(n int64) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// short formats a number with three digits: 950, 12.4k, 3.1M.
func short(n int64) string {
	f := float64(n)
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10)
	case n < 100_000:
		return strconv.FormatFloat(f/1e3, 'f', 1, 64) + "k"
	case n < 1_000_000:
		return strconv.FormatFloat(f/1e3, 'f', 0, 64) + "k"
	case n < 1_000_000_000:
		return strconv.FormatFloat(f/1e6, 'f', 1, 64) + "M"
	}
	return strconv.FormatFloat(f/1e9, 'f', 1, 64) + "G"
}

// speed returns the tokens per second after the first byte, "" if they are not known.
func speed(r *reqlog.Row) string {
	if r.FirstByteMS == nil || r.Tokens.Output == 0 || r.DurationMS <= *r.FirstByteMS {
		return ""
	}
	return strconv.FormatFloat(float64(r.Tokens.Output)*1000/float64(r.DurationMS-*r.FirstByteMS), 'f', 0, 64)
}

// breaks are the places at which a long name may wrap.
var breaks = strings.NewReplacer("/", "/<wbr>", "_", "_<wbr>")

// breakable escapes a name and lets it wrap after slashes and underscores.
func breakable(text any) template.HTML {
	return template.HTML(breaks.Replace(template.HTMLEscapeString(fmt.Sprint(text))))
}

// rate formats a number of tokens per second.
func rate(perSecond float64) string { return strconv.FormatFloat(perSecond, 'f', 0, 64) }

// faultOf describes whose fault an error is.
func faultOf(kind pipeline.ErrorKind) string {
	whose, _, _ := strings.Cut(string(kind), "_")
	switch whose {
	case "caller":
		return "The client is at fault."
	case "policy":
		return "One of your rules refused it."
	case "provider":
		return "The provider is at fault."
	case "hostless":
		return "Hostless failed."
	}
	return ""
}
