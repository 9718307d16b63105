package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// Types for the parts of a CycloneDX 1.6 document about the contents of a binary
// (cyclonedx.org/docs/1.6/json).
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type    string `json:"type"`
		Ref     string `json:"bom-ref"`
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl"`
		Hashes  []hash `json:"hashes,omitempty"`
	}
	hash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

// sbom writes the SBOM of a platform's programs: the modules that are linked into them,
// with the checksums that Go verified (h1 in go.sum is SHA-256 over a module's files),
// and their dependencies.
func (r *release) sbom(p platform, bin string) error {
	modules, goVersion, err := linked(bin)
	if err != nil {
		return err
	}
	main := component{Type: "application", Name: "hostless", Version: r.version}
	main.PURL = "pkg:golang/github.com/hostless/hostless@" + r.version
	main.Ref = main.PURL
	doc := bom{Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: metadata{r.epoch.Format("2006-01-02T15:04:05Z"), main}}
	std := component{Type: "library", Name: "std", Version: goVersion, PURL: "pkg:golang/std@" + strings.TrimPrefix(goVersion, "go")}
	std.Ref = std.PURL
	doc.Components = append(doc.Components, std)
	refs := map[string]string{} // by module path
	for _, m := range modules {
		c := component{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version}
		c.Ref = c.PURL
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) == sha256.Size {
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
		}
		refs[m.Path] = c.Ref
		doc.Components = append(doc.Components, c)
	}
	requires, err := moduleGraph()
	if err != nil {
		return err
	}
	for _, c := range append([]component{main}, doc.Components...) {
		name := c.Name
		if c.Ref == main.Ref {
			name = "github.com/hostless/hostless"
		}
		d := dependency{Ref: c.Ref}
		for _, needed := range requires[name] {
			if ref := refs[needed]; ref != "" {
				d.DependsOn = append(d.DependsOn, ref)
			}
		}
		if c.Ref == main.Ref {
			d.DependsOn = append(d.DependsOn, std.Ref)
		}
		doc.Dependencies = append(doc.Dependencies, d)
	}
	if doc.Serial, err = serial(doc, p); err != nil {
		return err
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, r.archiveName(p)+".cdx.json"), append(data, '\n'), 0o644)
}

// linked returns the sorted modules in the programs of a directory, and Go's version.
func linked(bin string) (modules []*debug.Module, goVersion string, err error) {
	found := map[string]*debug.Module{}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(filepath.Join(bin, program))
		if err != nil {
			return nil, "", err
		}
		goVersion = info.GoVersion
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			found[m.Path] = m
		}
	}
	modules = slices.Collect(maps.Values(found))
	slices.SortFunc(modules, func(a, b *debug.Module) int { return cmp.Compare(a.Path, b.Path) })
	return modules, goVersion, nil
}

// moduleGraph returns the modules that each module requires, without versions, because
// only one version of each is linked.
func moduleGraph() (map[string][]string, error) {
	cmd := exec.Command("go", "mod", "graph")
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	text, err := output(cmd)
	if err != nil {
		return nil, err
	}
	graph := map[string][]string{}
	for line := range strings.SplitSeq(text, "\n") {
		from, to, ok := strings.Cut(line, " ")
		if !ok {
			return nil, fmt.Errorf("go mod graph: %q is not a requirement", line)
		}
		from, _, _ = strings.Cut(from, "@")
		to, _, _ = strings.Cut(to, "@")
		if !slices.Contains(graph[from], to) {
			graph[from] = append(graph[from], to)
		}
	}
	for _, list := range graph {
		slices.Sort(list)
	}
	return graph, nil
}

// serial returns a UUID that only depends on the document's content (RFC 9562, version
// 8).
func serial(doc bom, p platform) (string, error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(data, p.String()...))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]), nil
}
