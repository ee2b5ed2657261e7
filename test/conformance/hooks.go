// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Hooks is a server with the admission webhooks of the cases, as a mesh or an operator has them.
type Hooks struct {
	URL string // https://127.0.0.1:port
	CA  string // its certificate, in base64

	server  *httptest.Server
	posted  int // requests to make a reading
	largest int // bytes of the largest object that etcd took; set before the cases are checked
	mu      sync.Mutex
	asked   map[string]int    // "namespace/name" → requests that were refused
	made    map[string]string // "namespace/name" → the object as it was to be created, of /record
}

// NewHooks starts the server.
func NewHooks() *Hooks {
	h := &Hooks{asked: map[string]int{}, made: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/inject", serve(h.inject))
	mux.HandleFunc("/flaky", serve(h.flaky))
	mux.HandleFunc("/record", serve(h.record))
	mux.HandleFunc("/starting", serve(h.starting))
	mux.HandleFunc("/convert", h.convert)
	mux.HandleFunc(readings+"/", h.readings)
	mux.HandleFunc(readings, h.readings)
	h.server = httptest.NewTLSServer(mux)
	h.URL = h.server.URL
	h.CA = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw}))
	return h
}

// Close ends the server.
func (h *Hooks) Close() { h.server.Close() }

// Created is an object as its creation was asked for; "" if it was not.
func (h *Hooks) Created(id string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.made[id]
}

func serve(answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
		var review admissionv1.AdmissionReview
		if err != nil || json.Unmarshal(body, &review) != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		review.Response = answer(review.Request)
		review.Response.UID = review.Request.UID
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}
}

// inject puts a sidecar into a pod, as a mesh does, without looking whether there is one.
func (h *Hooks) inject(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	var pod struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			InitContainers []json.RawMessage `json:"initContainers"`
			Volumes        []json.RawMessage `json:"volumes"`
		} `json:"spec"`
	}
	_ = json.Unmarshal(r.Object.Raw, &pod) // the API server's own
	var ops []map[string]any
	add := func(path string, value any) {
		ops = append(ops, map[string]any{"op": "add", "path": path, "value": value})
	}
	if pod.Metadata.Annotations == nil {
		add("/metadata/annotations", map[string]any{})
	}
	add("/metadata/annotations/sidecar.istio.io~1status", `{"initContainers":["istio-init"],"containers":["istio-proxy"],"volumes":["istio-envoy"],"revision":"default"}`)
	add("/spec/containers/-", map[string]any{"name": "istio-proxy", "image": "proxy:1", "volumeMounts": []any{map[string]any{"name": "istio-envoy", "mountPath": "/etc/istio"}}})
	if pod.Spec.InitContainers == nil {
		add("/spec/initContainers", []any{})
	}
	add("/spec/initContainers/-", map[string]any{"name": "istio-init", "image": "proxy:1"})
	if pod.Spec.Volumes == nil {
		add("/spec/volumes", []any{})
	}
	add("/spec/volumes/-", map[string]any{"name": "istio-envoy", "emptyDir": map[string]any{}})
	patch, _ := json.Marshal(ops)
	kind := admissionv1.PatchTypeJSONPatch
	return &admissionv1.AdmissionResponse{Allowed: true, Patch: patch, PatchType: &kind}
}

// flaky refuses each object twice, as one whose backend is still starting.
func (h *Hooks) flaky(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	if r.DryRun != nil && *r.DryRun {
		return &admissionv1.AdmissionResponse{Allowed: true}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := r.Namespace + "/" + r.Name
	if h.asked[id]++; h.asked[id] > 2 {
		return &admissionv1.AdmissionResponse{Allowed: true}
	}
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Code: http.StatusServiceUnavailable, Message: "still starting"}}
}

// starting counts how often the creation of an object was tried; its conversion goes by that.
func (h *Hooks) starting(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	if r.DryRun == nil || !*r.DryRun {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked["convert "+r.Namespace+"/"+r.Name]++
	}
	return &admissionv1.AdmissionResponse{Allowed: true}
}

// record notes what is created.
func (h *Hooks) record(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	if r.DryRun == nil || !*r.DryRun {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.made[strings.TrimPrefix(r.Namespace+"/"+r.Name, "/")] = string(r.Object.Raw)
	}
	return &admissionv1.AdmissionResponse{Allowed: true}
}
