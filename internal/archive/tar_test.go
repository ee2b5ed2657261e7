// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/object"
)

// The short way to a header gives the bytes that archive/tar writes.
func TestHeader(t *testing.T) {
	modified := time.Unix(1795176000, 0)
	h := newHeader(modified)
	element := func(n int) string { return strings.Repeat("e", n) }
	for _, path := range []string{
		"a", "metadata/version", element(99), element(100), element(101), "d/" + element(98), "d/" + element(99), "d/" + element(100), "d/" + element(101),
		element(155) + "/" + element(100), element(156) + "/" + element(99), element(154) + "/" + element(100), element(155) + "/" + element(101),
		"a/" + element(153) + "/" + element(100), "a/" + element(154) + "/" + element(100), "a/b/" + element(99) + "/" + element(30), element(100) + "/" + element(10) + "/" + element(20),
		"resources/日本.json", "resources/a\nb.json", "resources/" + element(253) + ".json", "resources/x/namespaces/" + element(63) + "/" + element(253) + ".json", element(3000),
	} {
		for _, size := range []int{0, 1, 7, 8, 511, 512, 4711, MaxItem} {
			var want bytes.Buffer
			if err := tar.NewWriter(&want).WriteHeader(h.full(path, int64(size))); err != nil {
				t.Fatal(err)
			}
			got, err := h.append([]byte("before"), []byte(path), size)
			if err != nil || string(got) != "before"+want.String() {
				t.Errorf("%.40s… (%d bytes), size %d: other bytes, %v", path, len(path), size, err)
			}
		}
	}
}

// A path that is written is read as the same item.
func TestPaths(t *testing.T) {
	for _, p := range []place{
		{ref: object.Ref{Resource: "pods", Namespace: "a", Name: "b"}, unversioned: true},
		{ref: object.Ref{Resource: "nodes", Name: "b.json"}, unversioned: true},
		{ref: object.Ref{Group: "apps", Resource: "deployments", Namespace: "namespaces", Name: "cluster"}, version: "v1", preferred: true},
		{ref: object.Ref{Group: "apps", Resource: "deployments", Namespace: "cluster", Name: "namespaces"}, unversioned: true},
		{ref: object.Ref{Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Name: "system:node-x*日"}, version: "v1beta1"},
	} {
		dir := p.version
		if p.preferred {
			dir += preferredSuffix
		}
		path := string(appendPath(nil, p.ref.GroupResource(), dir, p.ref.Namespace, p.ref.Name))
		got, err := parsePath(path)
		if err != nil || got != p || checkPath(path) != nil {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, p)
		}
	}
}
