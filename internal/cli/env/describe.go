// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/report"
)

// None stands for an empty value in describe texts.
const None = "<none>"

// TimeFormat is how describe texts show times, in local time, as Velero does.
const TimeFormat = "2006-01-02 15:04:05 -0700 MST"

// Describer lays out a describe text: keys and values in two columns, indented groups (Velero's layout).
type Describer struct {
	// Depth is added to the depth of every line.
	Depth int

	buf bytes.Buffer
	tw  *tabwriter.Writer
}

// NewDescriber starts an empty text.
func NewDescriber() *Describer {
	d := &Describer{}
	d.tw = tabwriter.NewWriter(&d.buf, 0, 8, 2, ' ', 0)
	return d
}

// Line adds "key  value", indented by depth groups.
func (d *Describer) Line(depth int, key string, value any) {
	fmt.Fprintf(d.tw, "%s%s\t%v\n", strings.Repeat("  ", d.Depth+depth), key, value)
}

// Text adds a line without columns.
func (d *Describer) Text(depth int, format string, args ...any) {
	fmt.Fprintf(d.tw, "%s%s\n", strings.Repeat("  ", d.Depth+depth), fmt.Sprintf(format, args...))
}

// Gap adds a blank line and ends the alignment of columns.
func (d *Describer) Gap() {
	fmt.Fprintln(d.tw)
}

// Map adds the pairs of m, sorted, the first beside the key.
func (d *Describer) Map(key string, m map[string]string) {
	if len(m) == 0 {
		d.Line(0, key, None)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		d.Line(0, key, k+"="+m[k])
		key = ""
	}
}

// List is the value of a list: its elements, or none if it is empty.
func List(items []string, none string) string {
	if len(items) == 0 {
		return none
	}
	return strings.Join(items, ", ")
}

// Results adds one half of a results file under a title, with Velero's three groups.
func (d *Describer) Results(title string, r report.Result) {
	d.Text(0, "%s:", title)
	d.lines(1, "Velero:", "    ", r.Velero)
	d.lines(1, "Cluster:", "   ", r.Cluster)
	if len(r.Namespaces) == 0 {
		d.Text(1, "Namespaces: %s", None)
		return
	}
	d.Text(1, "Namespaces:")
	for _, ns := range slices.Sorted(maps.Keys(r.Namespaces)) {
		d.lines(2, ns+":", "", r.Namespaces[ns])
	}
}

// lines adds texts, the first beside the key; none stands behind the room that Velero leaves there.
func (d *Describer) lines(depth int, key, room string, texts []string) {
	if len(texts) == 0 {
		d.Text(depth, "%s%s %s", key, room, None)
		return
	}
	for _, text := range texts {
		d.Line(depth, key, text)
		key = ""
	}
}

// String is the text so far.
func (d *Describer) String() string {
	_ = d.tw.Flush() // a bytes.Buffer takes everything
	return d.buf.String()
}

// ThreeWay is the text of an optional flag: yes, no, or "auto" when it is unset.
func ThreeWay(b *bool, yes, no string) string {
	switch {
	case b == nil:
		return "auto"
	case *b:
		return yes
	}
	return no
}

// TimeText is a time as describe texts show it.
func TimeText(t *metav1.Time) string {
	if t == nil || t.IsZero() {
		return "<n/a>"
	}
	return t.Local().Format(TimeFormat)
}
