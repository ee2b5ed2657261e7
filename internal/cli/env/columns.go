// SPDX-License-Identifier: Apache-2.0

package env

import (
	"cmp"
	"path"
	"strings"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// AddTableFlags registers -o, and the flags for labels in tables. Commands that print no table know these, too, as Velero's do.
func (o *Output) AddTableFlags(f *pflag.FlagSet, known ...string) {
	o.AddFlag(f, known...)
	f.StringSliceVarP(&o.columns, "label-columns", "L", nil, "Labels that get a column of their own in tables.")
	f.BoolVar(&o.labels, "show-labels", false, "Show all labels in the last column of tables.")
}

// WithLabels adds the columns for labels that are asked for to a table that has a row for each item.
func WithLabels[T metav1.Object](o Output, t Table, items []T) Table {
	if len(t.Rows) != len(items) {
		return t
	}
	for _, label := range o.columns {
		t.Columns = append(t.Columns, strings.ToUpper(path.Base(label)))
	}
	if o.labels {
		t.Columns = append(t.Columns, "LABELS")
	}
	for i, item := range items {
		for _, label := range o.columns {
			t.Rows[i] = append(t.Rows[i], cmp.Or(item.GetLabels()[label], None))
		}
		if o.labels {
			t.Rows[i] = append(t.Rows[i], labels.FormatLabels(item.GetLabels()))
		}
	}
	return t
}
