// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// awaitGone waits until a namespace that is being deleted is gone. It reports false at once if the namespace is there to stay.
func (r *Run) awaitGone(ctx context.Context, w *work) (bool, error) {
	name := w.Step.Target.Name
	bound, cancel := context.WithTimeout(ctx, r.o.Terminating)
	defer cancel()
	blocker := ""
	for {
		body, err := r.o.Target.Get(bound, w.t, "", name)
		if fail.Is(err, fail.NotFound) {
			return true, nil
		}
		if err == nil {
			var head object.Head
			if head, err = object.Scan(body); err == nil && !head.Terminating {
				return false, nil
			}
			if b := blockers(body); b != "" {
				blocker = b
			}
			if err == nil {
				err = r.awaitDeletion(bound, w.t, name, head.ResourceVersion)
			}
		}
		switch {
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case bound.Err() != nil:
			return false, fail.Errorf(fail.Busy, "namespace %s is still being deleted after %s%s", name, r.o.Terminating, blocker)
		case err != nil:
			return false, err
		}
	}
}

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
