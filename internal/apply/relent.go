// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/fail"
)

// relent makes an object that was refused without what stands in its way, if that is something it can do without: a port or an address
// that another Service has, and the restore's own labels where etcd takes nothing larger. Else it returns the refusal.
func (r *Run) relent(ctx context.Context, w *work, refusal error) ([]byte, error) {
	if tooLarge(refusal) {
		return r.unlabelled(ctx, w, refusal)
	}
	if w.t.Resource != "services" || w.t.Group != "" {
		return nil, refusal
	}
	var given []allocation
	for err := refusal; ; {
		a, ok := r.release(w, message(err))
		if !ok {
			return nil, refusal
		}
		given = append(given, a)
		body, mErr := w.obj.MarshalJSON()
		if mErr != nil {
			return nil, mErr
		}
		var response []byte
		response, _, err = r.post(ctx, w, body)
		if err == nil || r.o.DryRun && fail.Is(err, fail.Exists) { // a dry run asks where the name may be taken
			for _, a := range given {
				w.warn("%s: %s %v is taken: it has %v now", w.Step.Target, a.what, a.value, a.read(response))
			}
			return response, nil
		}
	}
}

// clash reports whether a port or an address is taken. The API server says so in errors of several kinds.
func clash(err error) bool {
	return strings.Contains(message(err), "is already allocated") || strings.Contains(message(err), "failed to allocate IP")
}

// allocation is a number or an address that a Service had.
type allocation struct {
	what  string
	value any
	path  []any // in the Service
}

func (a allocation) read(service []byte) any {
	var o any
	if json.Unmarshal(service, &o) != nil {
		return "another"
	}
	for _, key := range a.path {
		switch k := key.(type) {
		case string:
			m, _ := o.(map[string]any)
			o = m[k]
		case int:
			l, _ := o.([]any)
			if k >= len(l) {
				return "another"
			}
			o = l[k]
		}
	}
	return o
}

// release takes out of a Service what the server has refused to allocate.
func (r *Run) release(w *work, text string) (allocation, bool) {
	spec, _ := w.obj.Object["spec"].(map[string]any)
	if ip, ok := spec["clusterIP"].(string); ok && ip != "None" && strings.Contains(text, "spec.clusterIP") {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
		return allocation{"address", ip, []any{"spec", "clusterIP"}}, true
	}
	if r.o.Env.PreserveNodePorts { // asked for: another port is not what was wanted
		return allocation{}, false
	}
	if port := spec["healthCheckNodePort"]; port != nil && strings.Contains(text, fmt.Sprintf("HealthCheck NodePort %v", port)) {
		delete(spec, "healthCheckNodePort")
		return allocation{"health check node port", port, []any{"spec", "healthCheckNodePort"}}, true
	}
	ports, _ := spec["ports"].([]any)
	i := slices.IndexFunc(ports, func(p any) bool {
		m, _ := p.(map[string]any)
		return m["nodePort"] != nil && strings.Contains(text, fmt.Sprintf("nodePort: Invalid value: %v: provided port is already allocated", m["nodePort"]))
	})
	if i < 0 {
		return allocation{}, false
	}
	port := ports[i].(map[string]any)
	a := allocation{"node port", port["nodePort"], []any{"spec", "ports", i, "nodePort"}}
	delete(port, "nodePort")
	return a, true
}

// tooLarge reports whether an object is larger than etcd, or the API server, takes.
func tooLarge(err error) bool { return strings.Contains(message(err), "equest is too large") }

// unlabelled makes an object without the two labels of the restore: what was in an etcd fits into an etcd.
func (r *Run) unlabelled(ctx context.Context, w *work, refusal error) ([]byte, error) {
	labels := w.obj.GetLabels()
	for key := range r.o.Env.Labels() {
		if _, ok := labels[key]; !ok {
			return nil, refusal
		}
		delete(labels, key)
	}
	w.obj.SetLabels(labels)
	body, err := w.obj.MarshalJSON()
	if err != nil {
		return nil, fail.As(fail.Corrupt, err)
	}
	response, _, err := r.post(ctx, w, body)
	return response, err
}
