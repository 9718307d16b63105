package procinfo

import "testing"

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 12345 0"))
	f.Add([]byte("7 (sh"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := parseStat(7, data); err == nil && (p.PID != 7 || p.Start == "") {
			t.Errorf("parseStat(%q) = %+v", data, p)
		}
	})
}

func TestParseStat(t *testing.T) {
	p, err := parseStat(7, []byte("7 (a) b) Z 1 9 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 12345 0"))
	if want := (Process{PID: 7, PPID: 1, PGRP: 9, Dead: true, Start: "12345"}); err != nil || p != want {
		t.Errorf("parseStat = %+v, %v; want %+v", p, err, want)
	}
}
