package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Colours, as SGR parameters (ECMA-48 section 8.3.117).
const (
	bold = "1"
	red  = "1;31"
	dim  = "2"

	green  = "32"
	yellow = "33"
)

// paint colours text where the stream takes colours.
func (e *env) paint(stream io.Writer, sgr, text string) string {
	if !e.colour(stream) {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// printable replaces terminal control characters except newlines and tabs: the names
// and commands of a listing come from other programs. Colours are added to its result,
// never passed through it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\ufffd'
		}
		return r
	}, text)
}

// cell makes a value fit for one line of a table.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return strings.NewReplacer("\n", "\ufffd", "\t", "\ufffd").Replace(printable(text))
}

// columns returns the width of a stream: that of its terminal, else COLUMNS, else no
// limit, since a program reads it.
func (e *env) columns(stream io.Writer) int {
	if f, ok := stream.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	if n, err := strconv.Atoi(e.getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return math.MaxInt32
}

// wrap breaks text between words into lines of at most width characters. A longer word
// is not broken. It returns at least one line.
func wrap(text string, width int) []string {
	width = max(width, 20)
	var lines []string
	line := ""
	for _, word := range strings.Split(text, " ") {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// leastLast is the minimum width to which a table's last column is cut.
const leastLast = 12

// wholeLast is the width up to which a last column is not cut.
const wholeLast = 26

// table prints aligned columns under their headings. The last column is not padded, and
// is cut to the terminal's width. Where the other columns alone are too wide, columns
// without a value are left out, then those in spare, in that order; if that is not enough,
// each row is printed as a block.
func (e *env) table(headings []string, rows [][]string, spare ...string) error {
	for _, row := range rows {
		for i := range row {
			row[i] = cell(row[i])
		}
	}
	limit := e.columns(e.out)
	shown := fitting(headings, rows, spare, limit)
	if shown == nil {
		return e.blocks(headings, rows)
	}
	headings, rows = only(shown, headings), onlyRows(shown, rows)
	widths, before := columnWidths(headings, rows)
	last := len(widths) - 1
	var b strings.Builder
	b.WriteString(e.paint(e.out, bold, columns(headings, widths)))
	b.WriteByte('\n')
	for _, row := range rows {
		row[last] = shorten(row[last], max(limit-before, leastLast))
		b.WriteString(columns(row, widths))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(e.out, b.String())
	return err
}

// fitting returns the indexes of the columns with which a table fits a width, nil if none
// do.
func fitting(headings []string, rows [][]string, spare []string, limit int) []int {
	shown := make([]int, len(headings))
	for i := range shown {
		shown[i] = i
	}
	fits := func() bool {
		widths, before := columnWidths(only(shown, headings), onlyRows(shown, rows))
		last := widths[len(widths)-1]
		return before+last <= limit || last > wholeLast && before+leastLast <= limit
	}
	drop := func(heading func(int) bool) bool {
		shown = slices.DeleteFunc(shown, heading)
		return fits()
	}
	if fits() || drop(func(i int) bool {
		return i > 0 && !slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "-" })
	}) {
		return shown
	}
	for _, name := range spare {
		if drop(func(i int) bool { return headings[i] == name }) {
			return shown
		}
	}
	return nil
}

func only(shown []int, row []string) []string {
	out := make([]string, len(shown))
	for i, at := range shown {
		out[i] = row[at]
	}
	return out
}

func onlyRows(shown []int, rows [][]string) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = only(shown, row)
	}
	return out
}

// columnWidths returns the width of each column, and where the last one begins.
func columnWidths(headings []string, rows [][]string) (widths []int, before int) {
	widths = make([]int, len(headings))
	for i, h := range headings {
		widths[i] = utf8.RuneCountInString(h)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	before = 2 * (len(widths) - 1)
	for _, w := range widths[:len(widths)-1] {
		before += w
	}
	return widths, before
}

// shorten cuts text to n characters, the last of them an ellipsis.
func shorten(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:max(0, n-1)]) + "…"
}

// blocks prints each row of a table as a block: the first cell, and below it the
// others with their headings.
func (e *env) blocks(headings []string, rows [][]string) error {
	var b strings.Builder
	width := 0
	for _, h := range headings[1:] {
		width = max(width, len(h))
	}
	for _, row := range rows {
		b.WriteString(e.paint(e.out, bold, row[0]) + "\n")
		for i, value := range row[1:] {
			if value == "-" {
				continue
			}
			heading := strings.ToLower(headings[i+1])
			if i+2 < len(headings) && headings[i+2] == "" { // a column that goes with this one
				value += " (" + row[i+2] + ")"
			} else if heading == "" {
				continue
			}
			for _, line := range wrap(value, e.columns(e.out)-width-4) {
				fmt.Fprintf(&b, "  %-*s  %s\n", width, heading, line)
				heading = ""
			}
		}
	}
	_, err := io.WriteString(e.out, b.String())
	return err
}

func columns(cells []string, widths []int) string {
	var b strings.Builder
	for i, c := range cells {
		b.WriteString(c)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
		}
	}
	return b.String()
}

// pairs prints names and values, aligned; empty values are left out.
func (e *env) pairs(rows [][2]string) error {
	width := 0
	for _, r := range rows {
		if r[1] != "" {
			width = max(width, utf8.RuneCountInString(r[0]))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		if r[1] != "" {
			name := r[0] + strings.Repeat(" ", width-utf8.RuneCountInString(r[0])+2)
			lines := wrap(cell(r[1]), e.columns(e.out)-width-2)
			b.WriteString(e.paint(e.out, dim, name) + lines[0] + "\n")
			for _, line := range lines[1:] {
				fmt.Fprintf(&b, "%*s%s\n", width+2, "", line)
			}
		}
	}
	_, err := io.WriteString(e.out, b.String())
	return err
}

// printLine prints one line of a result.
func (e *env) printLine(format string, args ...any) error {
	_, err := fmt.Fprintln(e.out, printable(fmt.Sprintf(format, args...)))
	return err
}

// note prints a line that is not part of the result to standard error.
func (e *env) note(format string, args ...any) {
	fmt.Fprintln(e.err, printable(fmt.Sprintf(format, args...)))
}

// list joins values for a table; an empty list means that everything is allowed.
func list(values []string) string {
	if len(values) == 0 {
		return "all"
	}
	return strings.Join(values, ",")
}

// span formats a number of seconds for people: 45s, 5m, 23h, 3d.
func span(seconds int64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case seconds <= 0:
		return "now"
	case d > forever-30*24*time.Hour:
		return "never"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", seconds)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Round(time.Hour).Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Round(24*time.Hour).Hours())/24)
	}
}

// expiry describes when something expires that has so many seconds left.
func expiry(seconds int64) string {
	if left := span(seconds); left != "never" {
		return "expires in " + left
	}
	return "does not expire"
}

// perHour formats a rate limit.
func perHour(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d/h", n)
}

// count formats a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
