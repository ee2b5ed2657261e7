// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/fail"
)

func TestScanHead(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want Head // without raw ranges
	}{
		"a custom resource": {
			`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","namespace":"ns","uid":"u-1","resourceVersion":"42"},"spec":{}}`,
			Head{APIVersion: "example.com/v1", Kind: "Widget", Name: "w", Namespace: "ns", UID: "u-1", ResourceVersion: "42"}},
		"a built-in item has no kind": {`{"metadata":{"name":"w"}}`, Head{Name: "w"}},
		"white space everywhere":      {" {\n\t\"metadata\" : {\r\n \"name\" : \"w\" } , \"a\" : [ 1 , 2 ] }\n", Head{Name: "w"}},
		"an empty object":             {`{}`, Head{}},
		"metadata null":               {`{"metadata":null}`, Head{}},
		"metadata fields null":        {`{"metadata":{"name":"w","labels":null,"deletionTimestamp":null,"ownerReferences":null,"uid":null}}`, Head{Name: "w"}},
		"being deleted":               {`{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","generateName":"w-"}}`, Head{Terminating: true, GenerateName: "w-"}},
		"escaped keys":                {`{"\u006bind":"K","meta\u0064ata":{"\u006eame":"w","na\u006despace":"ns"}}`, Head{Kind: "K", Name: "w", Namespace: "ns"}},
		"escaped values":              {`{"metadata":{"name":"\u0077\n\ud83d\ude00","namespace":"é"}}`, Head{Name: "w\n😀", Namespace: "é"}},
		"a half surrogate":            {`{"metadata":{"name":"\ud83d"}}`, Head{Name: "\ufffd"}},
		"the same words elsewhere": {
			`{"data":{"kind":"X","metadata":{"name":"no"}},"metadata":{"labels":{"name":"no","a":"\"kind\":\"X\""},"annotations":{"x":"{\"metadata\":{\"name\":\"no\"}}"},"managedFields":[{"name":"no","uid":"no"}],"name":"yes"},"spec":{"apiVersion":"no"}}`,
			Head{Name: "yes"}},
		"case counts": {`{"Kind":"no","Metadata":{"name":"no"},"metadata":{"Name":"no","name":"yes"}}`, Head{Name: "yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Scan([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			got.Metadata, got.RawLabels, got.RawAnnotations, got.RawOwners = nil, nil, nil, nil
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScanRefuses(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"nothing":                      {``, "byte 0: not a JSON object"},
		"an array":                     {`[]`, "byte 0: not a JSON object"},
		"a second object":              {`{} {}`, "byte 3: text after the object"},
		"cut off":                      {`{"a":{"b":[1,2`, "byte 14: the text ends early"},
		"cut off in a string":          {`{"a":"b`, "byte 7: the text ends early"},
		"cut off in a literal":         {`{"a":tru`, "byte 5: value expected"},
		"wrong bracket":                {`{"a":[1}}`, "byte 7: comma or end expected"},
		"trailing comma":               {`{"a":1,}`, "byte 7: key expected"},
		"trailing comma in a list":     {`{"a":[1,]}`, "byte 8: value expected"},
		"leading zero":                 {`{"a":01}`, "byte 5: invalid number"},
		"number without digits":        {`{"a":-}`, "byte 5: invalid number"},
		"control character":            {"{\"a\":\"x\ny\"}", "byte 7: control character in a string"},
		"unknown escape":               {`{"a":"\x41"}`, "byte 6: invalid escape in a string"},
		"short escape":                 {`{"a":"\u00g1"}`, "byte 6: invalid escape in a string"},
		"key without quotes":           {`{a:1}`, "byte 1: key expected"},
		"no colon":                     {`{"a" 1}`, "byte 5: colon expected"},
		"no colon below":               {`{"a":{"b" 1}}`, "byte 10: colon expected"},
		"no comma":                     {`{"a":1 "b":2}`, "byte 7: comma or end of object expected"},
		"kind is a number":             {`{"kind":1}`, "byte 8: kind has the wrong type"},
		"kind is empty":                {`{"kind":""}`, "byte 8: kind is empty"},
		"kind is null":                 {`{"kind":null}`, "byte 8: kind is empty"},
		"metadata is a list":           {`{"metadata":[]}`, "byte 12: metadata is not an object"},
		"name is a number":             {`{"metadata":{"name":7}}`, "byte 20: metadata.name has the wrong type"},
		"labels are a list":            {`{"metadata":{"labels":[]}}`, "byte 22: metadata.labels has the wrong type"},
		"metadata twice":               {`{"metadata":{},"metadata":{}}`, "byte 26: metadata given twice"},
		"kind twice":                   {`{"kind":"A","kind":"B"}`, "byte 19: kind given twice"},
		"name twice, once in disguise": {`{"metadata":{"name":"a","\u006eame":"b"}}`, "byte 36: metadata.name given twice"},
		"too deep":                     {`{"a":` + strings.Repeat("[", 20000), "nested too deeply"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Scan([]byte(c.body))
			if err == nil || !strings.Contains(err.Error(), c.want) || !fail.Is(err, fail.Corrupt) {
				t.Errorf("got %v, want a corrupt object with %q", err, c.want)
			}
		})
	}
}

func TestHeadDecodes(t *testing.T) {
	body := []byte(`{"metadata":{"labels":{"a":"1","b\u002fc":"\"x\"","e":""},"annotations":{"a":"one","a":"two"},` +
		`"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"u","controller":true,"blockOwnerDeletion":true},{"kind":"B"}]}}`)
	h, err := Scan(body)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := h.Labels()
	if diff := cmp.Diff(map[string]string{"a": "1", "b/c": `"x"`, "e": ""}, labels); diff != "" || err != nil {
		t.Error(diff, err)
	}
	annotations, err := h.Annotations()
	if diff := cmp.Diff(map[string]string{"a": "two"}, annotations); diff != "" || err != nil {
		t.Error(diff, err)
	}
	owners, err := h.Owners()
	want := []Owner{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "u", Controller: true}, {Kind: "B"}}
	if diff := cmp.Diff(want, owners); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for key, want := range labels {
		if got, ok := h.Label(key); got != want || !ok {
			t.Errorf("label %s: got %q, %v", key, got, ok)
		}
	}
	if got, ok := h.Annotation("a"); got != "two" || !ok {
		t.Errorf("annotation a: got %q, %v, want the last", got, ok)
	}
	if got, ok := h.Label("none"); got != "" || ok {
		t.Errorf("label none: got %q, %v", got, ok)
	}
	if string(h.Metadata) != string(body[len(`{"metadata":`):len(body)-1]) {
		t.Errorf("metadata is %s", h.Metadata)
	}
	if none, err := (Head{}).Labels(); none != nil || err != nil {
		t.Errorf("no labels: got %v, %v", none, err)
	}
	bad, err := Scan([]byte(`{"metadata":{"labels":{"a":1},"ownerReferences":["x"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bad.Labels(); !fail.Is(err, fail.Corrupt) {
		t.Errorf("a label that is a number: got %v", err)
	}
	if _, err := bad.Owners(); !fail.Is(err, fail.Corrupt) {
		t.Errorf("an owner that is a text: got %v", err)
	}
}

func TestInject(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{}`, `{"apiVersion":"v1","kind":"Pod"}`},
		{` { } `, ` {"apiVersion":"v1","kind":"Pod" } `},
		{`{"metadata":{"name":"a"}}`, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`},
		{`{"kind":"Pod","metadata":{}}`, `{"apiVersion":"v1","kind":"Pod","metadata":{}}`},
		{`{"apiVersion":"v1","metadata":{}}`, `{"kind":"Pod","apiVersion":"v1","metadata":{}}`},
		{`{"metadata":{},"kind":"X","apiVersion":"y"}`, `{"metadata":{},"kind":"X","apiVersion":"y"}`},
		{`{"spec":{"kind":"X","apiVersion":"y"}}`, `{"apiVersion":"v1","kind":"Pod","spec":{"kind":"X","apiVersion":"y"}}`},
	} {
		h, err := Scan([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		got := string(Inject([]byte("before"), []byte(c.body), h, "v1", "Pod"))
		if got != "before"+c.want {
			t.Errorf("Inject(%s) = %s, want %s", c.body, got, c.want)
		}
	}
}

// checkScan compares Scan with encoding/json on any text.
func checkScan(t *testing.T, body []byte) {
	t.Helper()
	h, err := Scan(body)
	var top map[string]json.RawMessage
	isObject := json.Valid(body) && json.Unmarshal(body, &top) == nil && top != nil
	if err == nil && !isObject {
		t.Fatalf("accepted %q", body)
	}
	if err != nil {
		if isObject && !disputed(err) {
			t.Fatalf("refused %q: %v", body, err)
		}
		return
	}
	var want struct {
		APIVersion, Kind string
		Meta             map[string]json.RawMessage
	}
	for key, to := range map[string]any{"apiVersion": &want.APIVersion, "kind": &want.Kind, "metadata": &want.Meta} {
		if raw, ok := top[key]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				t.Fatalf("accepted %s = %s", key, raw)
			}
		}
	}
	if h.APIVersion != want.APIVersion || h.Kind != want.Kind {
		t.Fatalf("read %q %q, want %q %q", h.APIVersion, h.Kind, want.APIVersion, want.Kind)
	}
	for key, got := range map[string]string{"name": h.Name, "namespace": h.Namespace, "uid": h.UID, "resourceVersion": h.ResourceVersion, "generateName": h.GenerateName} {
		var s string
		if raw, ok := want.Meta[key]; ok {
			if err := json.Unmarshal(raw, &s); err != nil {
				t.Fatalf("accepted metadata.%s = %s", key, raw)
			}
		}
		if got != s {
			t.Fatalf("read metadata.%s %q, want %q", key, got, s)
		}
	}
	for key, got := range map[string][]byte{"labels": h.RawLabels, "annotations": h.RawAnnotations, "ownerReferences": h.RawOwners} {
		raw := want.Meta[key]
		if string(raw) == "null" {
			raw = nil
		}
		if !bytes.Equal(got, raw) {
			t.Fatalf("read metadata.%s %q, want %q", key, got, raw)
		}
	}
	checkInject(t, body, h)
}

func checkInject(t *testing.T, body []byte, h Head) {
	t.Helper()
	out := Inject(nil, body, h, "g/v1", "K")
	again, err := Scan(out)
	if err != nil {
		t.Fatalf("injecting into %q made %q: %v", body, out, err)
	}
	h.APIVersion, h.Kind = orElse(h.APIVersion, "g/v1"), orElse(h.Kind, "K")
	if diff := cmp.Diff(h, again); diff != "" {
		t.Fatalf("injecting into %q: %s", body, diff)
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// disputed are refusals of what encoding/json accepts.
func disputed(err error) bool {
	for _, s := range []string{"given twice", "wrong type", "is empty", "is not an object"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{`{}`, `{"metadata":{"name":"a","labels":{"x":"y"}},"kind":"K"}`, `{"\u006bind":"K"}`, `{"a":[1,-2.5e+3,true,false,null,"\ud800"]}`,
		"{\"metadata\":{\"name\":\"\xff\"}}", `{"metadata":{"deletionTimestamp":"t","ownerReferences":[{}]}}`, `{"a":"` + strings.Repeat("x", 70) + `\\"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkScan(t, body) })
}

// TestScanNoAllocation holds a body of ordinary shape to one allocation, that of the head's texts.
func TestScanNoAllocation(t *testing.T) {
	body := deployment(3)
	n := testing.AllocsPerRun(100, func() {
		if _, err := Scan(body); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// deployment is an object of about 4 kB as an API server lists it.
func deployment(i int) []byte {
	managed := `{"manager":"kubectl","operation":"Update","apiVersion":"apps/v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:note":{}},"f:labels":{".":{},"f:app":{},"f:tier":{}}},"f:spec":{"f:progressDeadlineSeconds":{},"f:replicas":{},"f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{},"f:maxUnavailable":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}}}`
	return fmt.Appendf(nil, `{"metadata":{"name":"web-%d","namespace":"shop","uid":"5e7a6f0e-0000-4000-8000-%012d","resourceVersion":"%d","generation":1,"creationTimestamp":"2026-01-01T00:00:00Z","labels":{"app":"web","tier":"front"},"annotations":{"deployment.kubernetes.io/revision":"1","note":"%s"},"managedFields":[%s,%s]},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"creationTimestamp":null,"labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":"registry.example/web:1.2.3","ports":[{"containerPort":80,"protocol":"TCP"}],"env":[{"name":"TEXT","value":"%s"}],"resources":{"limits":{"cpu":"500m","memory":"128Mi"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","securityContext":{},"schedulerName":"default-scheduler"}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%%","maxSurge":"25%%"}},"revisionHistoryLimit":10,"progressDeadlineSeconds":600},"status":{"observedGeneration":1,"replicas":3,"updatedReplicas":3,"readyReplicas":3,"availableReplicas":3}}`,
		i, i, i, strings.Repeat("lorem ipsum ", 20), managed, managed, strings.Repeat("dolor sit amet ", 20))
}

func configMap(i int) []byte {
	return fmt.Appendf(nil, `{"metadata":{"name":"c-%d","namespace":"n","uid":"5e7a6f0e-0000-4000-8000-000000000000","resourceVersion":"1","managedFields":[{"manager":"kubectl","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:file":{}}}}]},"data":{"file":%q}}`,
		i, strings.Repeat("some text of a configuration file\n", 110))
}

func BenchmarkScan(b *testing.B) {
	body := deployment(1)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Scan(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanConfigMap(b *testing.B) {
	body := configMap(1)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Scan(body); err != nil {
			b.Fatal(err)
		}
	}
}
