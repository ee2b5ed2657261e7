// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReadStatus decodes a status. The definitions of the kinds let dates through that cannot be read: with a small t or z, or a zone of 99 minutes. Only a hand
// writes those, and they must not keep a list from being read: the first are understood, the others are left out.
func ReadStatus(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var date *time.ParseError
	if !errors.As(err, &date) {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return err
	}
	target := reflect.TypeOf(into).Elem()
	mended, err := json.Marshal(mendDates(tree, target))
	if err != nil {
		return err
	}
	reflect.ValueOf(into).Elem().SetZero() // of what was read up to the date
	return json.Unmarshal(mended, into)
}

var dateType = reflect.TypeFor[metav1.Time]()

// mendDates makes every date of v, which is to become a t, one that can be read, or nil.
func mendDates(v any, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == dateType {
		return mendDate(v)
	}
	switch v := v.(type) {
	case []any:
		for i := range v {
			if t.Kind() == reflect.Slice {
				v[i] = mendDates(v[i], t.Elem())
			}
		}
	case map[string]any:
		if t.Kind() != reflect.Struct {
			break
		}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if inner, ok := v[name]; ok {
				v[name] = mendDates(inner, t.Field(i).Type)
			}
		}
	}
	return v
}

func mendDate(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	upper := strings.ToUpper(text)
	if _, err := time.Parse(time.RFC3339, upper); err != nil {
		return nil
	}
	return upper
}
