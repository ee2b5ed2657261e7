// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"reflect"
	"strings"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// CheckDurations names the durations of a spec that are none, wherever in it they are: the definitions of the kinds let any text through. The path is the
// spec's own: "spec".
func CheckDurations(path string, spec any) []string {
	return badDurations(path, reflect.ValueOf(spec))
}

func badDurations(path string, v reflect.Value) []string {
	var out []string
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			out = badDurations(path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, badDurations(fmt.Sprintf("%s[%d]", path, i), v.Index(i))...)
		}
	case reflect.Struct:
		if d, ok := v.Interface().(velerov1.Duration); ok {
			if d.Bad != "" {
				out = append(out, fmt.Sprintf("%s is %q: expected a duration, such as 90s, 10m or 720h", path, d.Bad))
			}
			return out
		}
		for i := range v.NumField() {
			if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
				out = append(out, badDurations(path+"."+name, v.Field(i))...)
			}
		}
	}
	return out
}
