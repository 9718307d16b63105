package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/spend"
	"golang.org/x/term"
)

// Source provides the numbers. *control.Client implements it.
type Source interface {
	Status(ctx context.Context) (control.Status, error)
	InFlight(ctx context.Context) (control.InFlight, error)
	Routes(ctx context.Context) (control.RouteList, error)
	Spend(ctx context.Context, query url.Values) (spend.Report, error)
	Log(ctx context.Context, query url.Values) (control.RequestList, error)
	AppLog(ctx context.Context, query url.Values) (control.AppRequestList, error)
	Keys(ctx context.Context) (control.KeyList, error)
	Aliases(ctx context.Context) (control.AliasList, error)
}

// Config is the configuration of Run. From and Out are required.
type Config struct {
	From   Source
	Out    io.Writer
	Keys   *os.File      // the terminal to read keys from; nil reads none
	Screen *os.File      // the terminal to draw on; nil prints lines to Out
	Colour bool          // use colours
	Every  time.Duration // refresh interval; 0 is one second, or two for lines
	Times  int           // number of refreshes; 0 is no limit
}

// slowEvery is how many refreshes pass between two of the parts that change slowly.
const slowEvery = 4

// refreshTimeout is the timeout of one refresh.
const refreshTimeout = 5 * time.Second

// Run shows the view until `q` is typed, ctx ends, or it has been refreshed Times times. It
// returns an error of the first refresh; later ones are shown in the view.
func Run(ctx context.Context, c Config) error {
	if c.Every <= 0 {
		c.Every = time.Second
		if c.Screen == nil {
			c.Every *= 2
		}
	}
	var s State
	if err := c.look(ctx, &s, true); err != nil {
		return err
	}
	if c.Screen == nil {
		return c.lines(ctx, s)
	}
	return c.screen(ctx, s)
}

// look reads the state: the parts that change often, and with all also the others.
func (c *Config) look(ctx context.Context, s *State, all bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	s.At = time.Now()
	defer func() { s.Err = err }()
	flights, err := c.From.InFlight(ctx)
	if err != nil {
		s.InFlight = nil
		return err
	}
	s.InFlight = flights.Requests
	rows, err := c.From.Log(ctx, url.Values{"n": {"50"}})
	if err != nil {
		return err
	}
	if s.View.ToApps {
		apps, err := c.From.AppLog(ctx, url.Values{"n": {"50"}})
		if err != nil {
			return err
		}
		s.LastApps = apps.Requests
	}
	ended := len(rows.Requests) > 0 && (len(s.Last) == 0 || s.Last[len(s.Last)-1].ID != rows.Requests[len(rows.Requests)-1].ID)
	s.Last = rows.Requests
	if !all && !ended {
		return nil
	}
	if s.Status, err = c.From.Status(ctx); err != nil {
		return err
	}
	routes, err := c.From.Routes(ctx)
	if err != nil {
		return err
	}
	s.Apps = routes.Routes
	keys, err := c.From.Keys(ctx)
	if err != nil {
		return err
	}
	s.Keys = keys.Keys
	aliases, err := c.From.Aliases(ctx)
	if err != nil {
		return err
	}
	s.Aliases = aliases.Aliases
	s.Today, err = c.From.Spend(ctx, url.Values{"by": {"model"}})
	return err
}

// lines prints a line at each refresh.
func (c *Config) lines(ctx context.Context, s State) error {
	for n := 1; ; n++ {
		if _, err := fmt.Fprintln(c.Out, printable(Line(s))); err != nil {
			return err
		}
		if n == c.Times || !sleep(ctx, c.Every) {
			return nil
		}
		_ = c.look(ctx, &s, true) // the line shows the error
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Sequences that switch to the alternate screen without a cursor, and back (xterm's private
// modes).
const (
	enter = "\x1b[?1049h\x1b[?25l"
	leave = "\x1b[?25h\x1b[?1049l"
)

// screen draws the view until the user quits, and restores the terminal.
func (c *Config) screen(ctx context.Context, s State) (err error) {
	typed := make(chan byte)
	if c.Keys != nil {
		before, err := term.MakeRaw(int(c.Keys.Fd()))
		if err != nil {
			return &fault.Error{Kind: fault.Internal, Message: "the terminal cannot be set to raw mode", Err: err}
		}
		defer term.Restore(int(c.Keys.Fd()), before)
		go readKeys(ctx, c.Keys, typed) // ends with a key, or with the process after the view
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	if _, err := io.WriteString(c.Out, enter); err != nil {
		return err
	}
	defer func() {
		_, end := io.WriteString(c.Out, leave)
		err = errors.Join(err, end)
	}()
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for n := 1; ; n++ {
		if err := c.draw(s); err != nil {
			return err
		}
		if n == c.Times {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case key := <-typed:
			if !s.View.press(key) {
				return nil
			}
			_ = c.look(ctx, &s, true) // the frame shows the error
			n--
		case <-resized:
			n--
		case <-tick.C:
			_ = c.look(ctx, &s, n%slowEvery == 0) // the frame shows the error
		}
	}
}

// draw writes a frame over the previous one, in one write.
func (c *Config) draw(s State) error {
	width, height, err := term.GetSize(int(c.Screen.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range Frame(s, width, height, c.Colour) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	_, err = io.WriteString(c.Out, b.String())
	return err
}

// Keys that end the view besides q: Ctrl-C and Ctrl-D, which a terminal in raw mode sends as
// bytes.
const ctrlC, ctrlD = 3, 4

const escape = 27

// press changes the view by a key. It reports false for a key that ends the view.
func (v *View) press(key byte) bool {
	switch key {
	case 'q', 'Q', ctrlC, ctrlD:
		return false
	case 'a', 'A', '\t':
		v.ToApps = !v.ToApps
	case 'k', 'K':
		v.Keys = !v.Keys
	}
	return true
}

// readKeys passes on what is typed until ctx ends; the end of the terminal is Ctrl-D.
func readKeys(ctx context.Context, keys io.Reader, typed chan<- byte) {
	var some [64]byte
	for {
		n, err := keys.Read(some[:])
		if err != nil {
			some[0], n = ctrlD, 1
		}
		if some[0] == escape { // an arrow, say: a sequence whose letters are no keys
			continue
		}
		for _, key := range some[:n] {
			select {
			case typed <- key:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}
