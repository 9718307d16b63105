package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// archiveName returns an archive's name without its suffix, which is also its only top
// directory.
func (r *release) archiveName(p platform) string {
	return fmt.Sprintf("hostless_%s_%s", r.name(), p)
}

// archive writes a platform's .tar.gz. It can be unpacked into a prefix: tar -xzf …
// --strip-components=1 -C ~/.local.
func (r *release) archive(p platform, bin string) error {
	list, err := r.files(bin)
	if err != nil {
		return err
	}
	for _, name := range []string{"CHANGELOG.md", "LICENSE", "README.md"} {
		list = append(list, file{"share/doc/hostless/" + name, name, 0o644})
	}
	slices.SortFunc(list, func(a, b file) int { return strings.Compare(a.path, b.path) })
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	top := r.archiveName(p)
	for _, f := range list {
		data, err := os.ReadFile(f.from)
		if err != nil {
			return err
		}
		head := &tar.Header{
			Typeflag: tar.TypeReg, Name: top + "/" + f.path, Mode: f.mode, Size: int64(len(data)),
			ModTime: r.epoch, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(head); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, top+".tar.gz"), b.Bytes(), 0o644)
}

// checksums writes checksums.txt in the format of sha256sum, and returns the checksums by
// file name.
func (r *release) checksums() (map[string]string, error) {
	found, err := filepath.Glob(filepath.Join(r.out, "hostless*"))
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	var b strings.Builder
	for _, path := range found { // sorted by Glob
		name := filepath.Base(path)
		if !strings.Contains(name, r.number) { // another version's
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		sums[name] = hex.EncodeToString(sum[:])
		fmt.Fprintf(&b, "%s  %s\n", sums[name], name)
	}
	return sums, put(filepath.Join(r.out, "checksums.txt"), b.String())
}
