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

// checkpoint is the total of the request log's segments up to the offsets. It lets
// a start read only the rows since then, and still counts segments that were
// pruned. It is stored next to the segments.
type checkpoint struct {
	Zone    string         `json:"zone"` // the time zone of its days; see zone
	Offsets reqlog.Offsets `json:"offsets"`
	Sums    []daySum       `json:"sums"`
}

type daySum struct {
	Day date `json:"day"`
	key
	counts
}

// checkpointFile is its file name in the directory of the segments.
const checkpointFile = "totals.json"

// zone identifies a location by its offsets from UTC in winter and in summer, to
// tell whether stored days are still the same ones.
func zone(now time.Time, loc *time.Location) string {
	text := ""
	for _, month := range []time.Month{time.January, time.July} {
		_, offset := time.Date(now.In(loc).Year(), month, 1, 0, 0, 0, 0, loc).Zone()
		text += strconv.Itoa(offset) + " "
	}
	return text
}

// readCheckpoint reads the checkpoint. One that is missing or unusable counts as
// empty, because all of it can be read again from the segments.
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

// advance reads the rows written since the checkpoint, and writes a new one. sums
// is nil if the log cannot be read; an error together with sums is about the
// checkpoint. seen is called with each row that was read.
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
