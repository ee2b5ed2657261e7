// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
)

// Create makes one, and returns it as stored. What the cluster's definition of the kind does not have, because the installation there is older
// than this program, would be dropped without a word: if it says something, nothing is made.
func (k Kind[T]) Create(ctx context.Context, c Client, item *T) (*T, error) {
	data, err := json.Marshal(item)
	if err != nil {
		return nil, err
	}
	name := meta(item).GetName()
	strict := cluster.WriteOptions{FieldManager: fieldManager, FieldValidation: "Strict"}
	body, err := c.Cluster.Create(ctx, k.typ(), c.Namespace, data, strict)
	if unknown := unknownFields(err); len(unknown) > 0 {
		if lost := saying(data, unknown); len(lost) > 0 {
			return nil, fail.Errorf(fail.Unsupported, "create %s %s/%s: the cluster does not know its %s: what is installed there is older than this program; "+
				"do without, or bring the installation up to date", k.Kind, c.Namespace, name, strings.Join(lost, ", "))
		}
		body, err = c.Cluster.Create(ctx, k.typ(), c.Namespace, data, cluster.WriteOptions{FieldManager: fieldManager, FieldValidation: "Ignore"})
	}
	return k.decode(c, name, body, err)
}

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// unknownFields are those that the API server's strict validation has named.
func unknownFields(err error) []string {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !strings.Contains(status.ErrStatus.Message, "strict decoding error") {
		return nil
	}
	var all []string
	for _, m := range unknownField.FindAllStringSubmatch(status.ErrStatus.Message, -1) {
		all = append(all, m[1])
	}
	return all
}

// saying are the fields that are not just there and empty.
func saying(data []byte, fields []string) []string {
	var whole any
	if json.Unmarshal(data, &whole) != nil {
		return fields
	}
	var all []string
	for _, path := range fields {
		if says(at(whole, path)) {
			all = append(all, path)
		}
	}
	return all
}

// at follows a path as the API server writes it: spec.hooks.resources[0].name.
func at(v any, path string) any {
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

func says(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case map[string]any:
		for _, inner := range v {
			if says(inner) {
				return true
			}
		}
		return false
	case []any:
		return len(v) > 0
	case string:
		return v != "" && v != "0s"
	}
	return !reflect.ValueOf(v).IsZero()
}
