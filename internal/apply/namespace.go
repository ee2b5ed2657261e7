// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
)

// awaitDeletion follows one namespace until it is deleted, or the watch ends.
func (r *Run) awaitDeletion(ctx context.Context, t object.Type, name, version string) error {
	w, err := r.o.Target.Watch(ctx, t, "", version, cluster.WatchOptions{FieldSelector: "metadata.name=" + name})
	if errors.Is(err, cluster.ErrExpired) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		event, err := w.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, cluster.ErrExpired) {
			return nil
		}
		if err != nil {
			return err
		}
		if event.Type == "DELETED" {
			return nil
		}
	}
}

// blockers is what the namespace says about why its deletion does not end.
func blockers(body []byte) string {
	var ns struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string } `json:"conditions"`
		} `json:"status"`
	}
	if json.Unmarshal(body, &ns) != nil {
		return ""
	}
	text := ""
	for _, c := range ns.Status.Conditions {
		if c.Status == "True" && c.Message != "" {
			text += fmt.Sprintf("; %s", c.Message)
		}
	}
	return text
}
