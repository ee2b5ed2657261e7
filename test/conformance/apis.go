// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// conversion is the part of a ConversionReview that counts.
type conversion struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Request    *conversionAsked `json:"request,omitempty"`
	Response   map[string]any   `json:"response,omitempty"`
}

type conversionAsked struct {
	UID     string           `json:"uid"`
	Version string           `json:"desiredAPIVersion"`
	Objects []map[string]any `json:"objects"`
}

// convert is the conversion webhook of gauges: v1 has a size, v2 calls it a width. While an object is being made whose creation /starting has
// seen once or twice, it is not up yet.
func (h *Hooks) convert(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	var review conversion
	if err != nil || json.Unmarshal(body, &review) != nil || review.Request == nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	for _, o := range review.Request.Objects {
		if n := h.tries(fmt.Sprint(Field(o, "metadata", "namespace")) + "/" + fmt.Sprint(Field(o, "metadata", "name"))); n == 1 || n == 2 {
			http.Error(w, "still starting", http.StatusServiceUnavailable)
			return
		}
		spec, _ := o["spec"].(map[string]any)
		from, to := "size", "width"
		if strings.HasSuffix(review.Request.Version, "/v1") {
			from, to = to, from
		}
		if v, ok := spec[from]; ok && o["apiVersion"] != review.Request.Version {
			delete(spec, from)
			spec[to] = v
		}
		o["apiVersion"] = review.Request.Version
	}
	review.Response = map[string]any{"uid": review.Request.UID, "result": map[string]any{"status": "Success"}, "convertedObjects": review.Request.Objects}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

func (h *Hooks) tries(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked["convert "+id]
}

const readings = "/apis/x6.conf.example.com/v1"

// readings is an aggregated API that makes its one object up, as an API of metrics does; unlike that it has verbs for writing, too.
func (h *Hooks) readings(w http.ResponseWriter, r *http.Request) {
	answer := func(code int, o any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(o)
	}
	switch {
	case r.URL.Path == readings:
		answer(http.StatusOK, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "x6.conf.example.com/v1", "resources": []any{
			map[string]any{"name": "readings", "singularName": "reading", "namespaced": true, "kind": "Reading", "verbs": []any{"get", "list", "create", "delete"}},
		}})
	case r.Method == http.MethodPost:
		h.mu.Lock()
		h.posted++
		h.mu.Unlock()
		answer(http.StatusMethodNotAllowed, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": http.StatusMethodNotAllowed, "reason": "MethodNotAllowed", "message": "nobody can store a reading"})
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/readings"):
		items := []any{}
		if r.URL.Path == readings+"/readings" || strings.Contains(r.URL.Path, "/namespaces/conf-x6/") {
			items = append(items, map[string]any{"metadata": map[string]any{"name": "made-up", "namespace": "conf-x6"}, "value": 7})
		}
		answer(http.StatusOK, map[string]any{"kind": "ReadingList", "apiVersion": "x6.conf.example.com/v1", "metadata": map[string]any{"resourceVersion": "1"}, "items": items})
	default:
		http.NotFound(w, r)
	}
}
