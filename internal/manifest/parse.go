// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Document is one manifest of a file.
type Document struct {
	File   string
	Line   int // of its first line, from 1
	Object map[string]any
	// Raw is the text of a document that is encrypted as by SOPS; Object is then what can be read of it.
	Raw []byte
}

// Where is "file:line".
func (d Document) Where() string { return fmt.Sprintf("%s:%d", d.File, d.Line) }

// Fault is a place in a file that is no manifest.
type Fault struct {
	File string
	Line int
	Text string
}

func (f Fault) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text) }

// Parse reads the manifests of a file, YAML documents or JSON. Lists are taken apart. All faults are returned, not only the first.
func Parse(file string, data []byte) ([]Document, []Fault) {
	var docs []Document
	var faults []Fault
	for _, part := range split(data) {
		o, fault := decode(part.text)
		if fault.Text != "" {
			faults = append(faults, Fault{File: file, Line: part.line + max(fault.Line, 1) - 1, Text: fault.Text})
			continue
		}
		if o == nil {
			continue
		}
		d := Document{File: file, Line: part.line + leading(part.text), Object: o}
		if _, ok := o["sops"].(map[string]any); ok {
			d.Raw = part.text
		}
		found, err := flatten(d)
		if err != nil {
			faults = append(faults, Fault{File: file, Line: d.Line, Text: err.Error()})
			continue
		}
		docs = append(docs, found...)
	}
	return docs, faults
}

type part struct {
	line int // of the first line
	text []byte
}

// split takes a stream of YAML apart at its document separators.
func split(data []byte) []part {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var parts []part
	start, from := 1, 0
	line, at := 1, 0
	for text := range bytes.Lines(data) {
		if bytes.HasPrefix(text, []byte("---")) && (len(text) == 3 || strings.ContainsRune(" \t\r\n", rune(text[3]))) {
			parts = append(parts, part{start, data[from:at]})
			start, from = line, at
		}
		at += len(text)
		line++
	}
	return append(parts, part{start, data[from:]})
}

// leading counts the lines before the first one that says something.
func leading(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		trimmed := bytes.TrimSpace(line)
		if len(trimmed) > 0 && trimmed[0] != '#' && !bytes.Equal(trimmed, []byte("---")) {
			return n
		}
		n++
	}
	return 0
}

// decode reads one document; nil and no fault: there is nothing in it.
func decode(text []byte) (map[string]any, Fault) {
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, explain(err)
	}
	if data = bytes.TrimSpace(data); bytes.Equal(data, []byte("null")) || len(data) == 0 {
		return nil, Fault{}
	}
	var o map[string]any
	if data[0] != '{' {
		return nil, Fault{Text: "no object: a manifest is a map with apiVersion, kind and metadata"}
	}
	if err := utiljson.Unmarshal(data, &o); err != nil {
		return nil, Fault{Text: err.Error()}
	}
	return o, Fault{}
}

var lineOf = regexp.MustCompile(`\bline ([0-9]+): `)

// explain finds the line in the text of the parser's error.
func explain(err error) Fault {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "yaml: "), "unmarshal errors:\n  ")
	m := lineOf.FindStringSubmatchIndex(text)
	if m == nil {
		return Fault{Text: text}
	}
	n, _ := strconv.Atoi(text[m[2]:m[3]])
	return Fault{Line: n, Text: text[:m[0]] + text[m[1]:]}
}

// flatten takes lists apart and checks what every manifest must have.
func flatten(d Document) ([]Document, error) {
	o := d.Object
	kind, _ := o["kind"].(string)
	version, _ := o["apiVersion"].(string)
	items, isList := o["items"].([]any)
	if isList && strings.HasSuffix(kind, "List") {
		var out []Document
		for i, e := range items {
			m, ok := e.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("items[%d] is no object", i)
			}
			found, err := flatten(Document{File: d.File, Line: d.Line, Object: m})
			if err != nil {
				return nil, fmt.Errorf("items[%d]: %w", i, err)
			}
			out = append(out, found...)
		}
		return out, nil
	}
	switch {
	case version == "":
		return nil, errors.New("apiVersion is missing")
	case kind == "":
		return nil, errors.New("kind is missing")
	case textAt(o, "metadata.name") == "" && textAt(o, "metadata.generateName") != "":
		return nil, errors.New("metadata.generateName: an object without a name cannot be applied; give metadata.name")
	case textAt(o, "metadata.name") == "":
		return nil, errors.New("metadata.name is missing")
	}
	return []Document{d}, nil
}
