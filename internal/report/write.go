// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"io"
)

// Write writes the report as json.Marshal would, or with indent as json.MarshalIndent with two spaces, but item by item: the whole
// text of a large restore takes more memory than the report.
func (r *Report) Write(w io.Writer, indent bool) error {
	marshal := func(v any, prefix string) ([]byte, error) {
		if indent {
			return json.MarshalIndent(v, prefix, "  ")
		}
		return json.Marshal(v)
	}
	tail, err := marshal(&Report{Warnings: r.Warnings, Errors: r.Errors, Counts: r.Counts, Hooks: r.Hooks}, "")
	if err != nil {
		return err
	}
	open, next, end := `{"Items":[`, ",", "]"
	if indent {
		open, next, end = "{\n  \"Items\": [\n    ", ",\n    ", "\n  ]"
	}
	for i := range r.Items.All() {
		text, err := marshal(&i, "    ")
		if err != nil {
			return err
		}
		if _, err := w.Write(append([]byte(open), text...)); err != nil {
			return err
		}
		open = next
	}
	if r.Items.Len() > 0 {
		if tail = tail[1:]; len(tail) > 1 {
			end += ","
		} else if indent {
			end += "\n"
		}
		tail = append([]byte(end), tail...)
	}
	_, err = w.Write(append(tail, '\n'))
	return err
}
