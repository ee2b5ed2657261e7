// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/object"
)

func inspectJob(_ object.Ref, _ object.Head, body []byte, t *Traits) error {
	var job struct {
		Status struct {
			CompletionTime *string `json:"completionTime"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &job); err != nil {
		return err
	}
	if job.Status.CompletionTime != nil {
		t.Skip = "the job has completed"
	}
	return nil
}

// transformJob takes the old job's UID out of selector and template, unless the user manages the selector.
func transformJob(o *unstructured.Unstructured, _ Env, _ *Taken) error {
	spec := find(o.Object, "spec")
	if spec["manualSelector"] == true {
		return nil
	}
	selector := find(spec, "selector")
	match := find(selector, "matchLabels")
	labels := find(spec, "template", "metadata", "labels")
	for _, key := range []string{"controller-uid", "batch.kubernetes.io/controller-uid"} {
		delete(match, key)
		delete(labels, key)
	}
	if len(match) == 0 && selector["matchExpressions"] == nil {
		delete(spec, "selector")
	}
	return nil
}
