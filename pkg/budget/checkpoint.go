package budget

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/reqlog"
)

// checkpoint is what the segments of the request log add up to, up to the offsets: so
// that a start reads what came since alone, and that a file which had to make room still
// counts. It is kept beside the segments.
type checkpoint struct {
	Zone    string         `json:"zone"` // the local time that its days are of
	Offsets reqlog.Offsets `json:"offsets"`
	Sums    []daySum       `json:"sums"`
}

type daySum struct {
	Day date `json:"day"`
	key
	counts
}

// checkpointFile is its name in the directory of the segments.
const checkpointFile = "totals.json"

// zone tells whether days of another start are the same ones: the offsets from UTC that
// a location has in winter and in summer.
func zone(now time.Time, loc *time.Location) string {
	text := ""
	for _, month := range []time.Month{time.January, time.July} {
		_, offset := time.Date(now.In(loc).Year(), month, 1, 0, 0, 0, 0, loc).Zone()
		text += strconv.Itoa(offset) + " "
	}
	return text
}

// readCheckpoint reads the checkpoint; one that is not there or cannot be used is an
// empty one, since all of it can be read from the segments again.
func readCheckpoint(dir, zone string) (days, reqlog.Offsets) {
	sums := days{}
	data, err := os.ReadFile(filepath.Join(dir, checkpointFile))
	var c checkpoint
	if err != nil || json.Unmarshal(data, &c) != nil || c.Zone != zone {
		return sums, nil
	}
	for name, offset := range c.Offsets {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && info.Size() < offset { // not the file that was read
			return sums, nil
		}
	}
	for _, s := range c.Sums {
		sums.add(s.Day, s.key, s.counts)
	}
	return sums, c.Offsets
}

// advance reads what was written since the checkpoint, and writes it anew. sums are
// nil if the log cannot be read; an error beside sums is that of the checkpoint.
// seen gets each row that was read.
func advance(dir string, now time.Time, loc *time.Location, seen func(*reqlog.Row)) (sums days, offsets reqlog.Offsets, err error) {
	zone, from := zone(now, loc), earliest(now, loc)
	sums, before := readCheckpoint(dir, zone)
	rows := 0
	offsets, err = reqlog.Scan(dir, from, before, "", func(r *reqlog.Row) {
		rows++
		seen(r)
		sums.add(dateOf(r.Time, loc), keyOf(r), countsOf(r))
	})
	if err != nil {
		return nil, before, err
	}
	sums.forget(dateOf(from, loc))
	if rows == 0 {
		return sums, offsets, nil
	}
	c := checkpoint{Zone: zone, Offsets: offsets, Sums: []daySum{}}
	for day, byKey := range sums {
		for k, n := range byKey {
			c.Sums = append(c.Sums, daySum{day, k, *n})
		}
	}
	data, err := json.Marshal(c)
	if err != nil {
		return sums, offsets, err
	}
	err = config.WritePrivate(filepath.Join(dir, checkpointFile), data)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return sums, offsets, err
}
