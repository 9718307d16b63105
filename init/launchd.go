package units

import (
	"bytes"
	"embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/template"
)

//go:embed launchd/hostlessd.plist
var agent embed.FS

// Launchd contains the values of the agent. RenderLaunchd escapes them.
type Launchd struct {
	Label   string // dev.hostless.hostlessd
	Program string // absolute path
	Home    string // absolute path
	Control string // the control socket's absolute path
	Log     string // absolute path of the log file for standard error
	Port    int

	WebPorts []int // 80, and 443 with TLS, if requested
}

// RenderLaunchd returns the agent's property list (launchd.plist(5)). A value that XML
// 1.0 cannot represent, for example with a control character, is an error.
func RenderLaunchd(values Launchd) (string, error) {
	t, err := template.New("hostlessd.plist").Funcs(template.FuncMap{"xml": escapeXML}).ParseFS(agent, "launchd/hostlessd.plist")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", err
	}
	return b.String(), nil
}

func escapeXML(text string) (string, error) {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		return "", err
	}
	if back, err := unescapeXML(b.String()); err != nil || back != text { // EscapeText replaces what XML cannot represent
		return "", fmt.Errorf("%q cannot be used in a property list", text)
	}
	return b.String(), nil
}

func unescapeXML(text string) (out string, err error) {
	err = xml.Unmarshal([]byte("<s>"+text+"</s>"), &out)
	return out, err
}

// ParsePlist parses a property list in XML: dictionaries as map[string]any, arrays as
// []any, strings, integers as int, booleans as bool. Other types and the binary format
// are errors.
func ParsePlist(data []byte) (map[string]any, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		start, err := nextElement(d)
		if err != nil {
			return nil, fmt.Errorf("read the property list: %w", err)
		}
		if start == nil {
			return nil, errors.New("read the property list: it contains no dictionary")
		}
		if start.Name.Local == "plist" {
			continue
		}
		value, err := plistValue(d, *start)
		if err != nil {
			return nil, fmt.Errorf("read the property list: %w", err)
		}
		dict, ok := value.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("read the property list: expected a dictionary, got %s", start.Name.Local)
		}
		return dict, nil
	}
}

// nextElement returns the next start tag before the end tag of the enclosing element, nil
// if there is none.
func nextElement(d *xml.Decoder) (*xml.StartElement, error) {
	for {
		t, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil, nil
			}
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		}
	}
}

func plistValue(d *xml.Decoder, start xml.StartElement) (any, error) {
	switch start.Name.Local {
	case "dict":
		dict := map[string]any{}
		for {
			element, err := nextElement(d)
			if err != nil || element == nil {
				return dict, err
			}
			var key string
			if element.Name.Local != "key" {
				return nil, fmt.Errorf("expected a key, got %s", element.Name.Local)
			}
			if err := d.DecodeElement(&key, element); err != nil {
				return nil, err
			}
			if element, err = nextElement(d); err != nil || element == nil {
				return nil, errors.Join(fmt.Errorf("the key %q has no value", key), err)
			}
			if dict[key], err = plistValue(d, *element); err != nil {
				return nil, err
			}
		}
	case "array":
		array := []any{}
		for {
			element, err := nextElement(d)
			if err != nil || element == nil {
				return array, err
			}
			value, err := plistValue(d, *element)
			if err != nil {
				return nil, err
			}
			array = append(array, value)
		}
	case "true", "false":
		return start.Name.Local == "true", d.Skip()
	case "string", "integer":
		var text string
		if err := d.DecodeElement(&text, &start); err != nil || start.Name.Local == "string" {
			return text, err
		}
		return strconv.Atoi(strings.TrimSpace(text))
	}
	return nil, fmt.Errorf("type %s is not supported", start.Name.Local)
}
