// SPDX-License-Identifier: Apache-2.0

package object

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// SameOptions says how strict Same is.
type SameOptions struct {
	Status bool // status counts too
	Max    int  // of differences that are named; 0: 10
}

// Difference is one field that two states of an object do not share.
type Difference struct {
	Path string // JSON pointer; after normalisation, so indexes of lists may be lower than in the object
	A, B string // JSON, cut short; "": absent. Of a Secret: "(hidden)"
}

func (d Difference) String() string {
	show := func(s string) string {
		if s == "" {
			return "absent"
		}
		return s
	}
	return d.Path + ": " + show(d.A) + " against " + show(d.B)
}

// Same says whether two states of an object count as the same, and if not, where they differ. What
// does not count is declared in doc/normalisation.md, which is made from Rules. Neither is changed.
// Same is symmetric. Values out of Secrets are never in a Difference.
func Same(a, b *unstructured.Unstructured, o SameOptions) (bool, []Difference) {
	return same(a, b, o, rules)
}

func same(a, b *unstructured.Unstructured, o SameOptions, rules []Rule) (bool, []Difference) {
	x, y := clean(a.Object).(map[string]any), clean(b.Object).(map[string]any)
	for _, r := range rules {
		if r.status && o.Status || !r.applies(x) || !r.applies(y) {
			continue
		}
		r.apply(x, y)
	}
	d := differ{max: o.Max, hide: isKind(x, "Secret") || isKind(y, "Secret")}
	if d.max == 0 {
		d.max = 10
	}
	d.walk(x, y)
	return d.count == 0, d.found
}

// clean copies a JSON value without its null fields, which are absent ones.
func clean(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			if e != nil {
				out[k] = clean(e)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clean(e)
		}
		return out
	}
	return v
}

// differ finds where two cleaned values differ.
type differ struct {
	max   int
	hide  bool
	at    []string
	count int
	found []Difference
}

func (d *differ) walk(a, b any) {
	if len(d.found) >= d.max {
		return
	}
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			d.maps(a, b)
			return
		}
	case []any:
		if b, ok := b.([]any); ok && len(a) == len(b) {
			for i := range a {
				d.step(strconv.Itoa(i), a[i], b[i])
			}
			return
		}
	}
	if !equalScalar(a, b) {
		d.report(a, b)
	}
}

func (d *differ) maps(a, b map[string]any) {
	keys := make(map[string]bool, len(a))
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		d.step(k, a[k], b[k])
	}
}

func (d *differ) step(key string, a, b any) {
	d.at = append(d.at, key)
	d.walk(a, b)
	d.at = d.at[:len(d.at)-1]
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1")

func (d *differ) report(a, b any) {
	d.count++
	var path strings.Builder
	for _, key := range d.at {
		path.WriteByte('/')
		path.WriteString(pointer.Replace(key))
	}
	d.found = append(d.found, Difference{Path: path.String(), A: d.show(a), B: d.show(b)})
}

func (d *differ) show(v any) string {
	const most = 80
	if v == nil {
		return ""
	}
	if d.hide {
		return "(hidden)"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("(%T)", v)
	}
	if len(text) > most {
		return strings.ToValidUTF8(string(text[:most]), "") + "…"
	}
	return string(text)
}

// equalScalar compares numbers by value, whatever type they were decoded to.
func equalScalar(a, b any) bool {
	x, isInt := integer(a)
	y, alsoInt := integer(b)
	if isInt && alsoInt {
		return x == y
	}
	f, isNumber := number(a)
	g, alsoNumber := number(b)
	if isNumber && alsoNumber {
		return f == g
	}
	return reflect.DeepEqual(a, b)
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}

func number(v any) (float64, bool) {
	if n, ok := integer(v); ok {
		return float64(n), true
	}
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}

// Differences are where two states of an object differ in any way, but for fields that are null: no rule is applied.
func Differences(a, b *unstructured.Unstructured, o SameOptions) []Difference {
	_, found := same(a, b, o, nil)
	return found
}

// Normalise takes out of one state of an object, in place, what the rules say does not count, as far as this state alone shows it.
func Normalise(o map[string]any) {
	for _, r := range rules {
		if r.applies(o) {
			r.apply(o, o)
		}
	}
}
