// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/fail"
)

const kubeconfig = `{apiVersion: v1, kind: Config, current-context: CURRENT,
clusters: [{name: a, cluster: {server: "https://192.0.2.1:6443/prefix/"}}],
users: [{name: u, user: {token: t}}],
contexts: [{name: one, context: {cluster: a, user: u}}, {name: two, context: {cluster: a, user: u}}, {name: lost, context: {cluster: gone, user: u}}]}`

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", strings.Replace(kubeconfig, "CURRENT", "one", 1))
	none := write("none", strings.Replace(kubeconfig, "CURRENT", `""`, 1))
	missing := filepath.Join(dir, "missing")

	tests := []struct {
		name    string
		options Options
		env     string // KUBECONFIG
		kind    fail.Kind
		text    string // part of the error; empty: none
	}{
		{name: "by path", options: Options{Kubeconfig: good}},
		{name: "by environment", env: good},
		{name: "first of a list that exists", env: missing + string(filepath.ListSeparator) + good},
		{name: "other context", options: Options{Kubeconfig: none, Context: "two"}},
		{name: "nowhere", env: missing, kind: fail.NotFound, text: "no kubeconfig found: looked at " + missing},
		{name: "missing", options: Options{Kubeconfig: missing}, kind: fail.NotFound, text: "no kubeconfig at " + missing},
		{name: "context without kubeconfig", env: missing, options: Options{Context: "x"}, kind: fail.Invalid, text: "no kubeconfig found"},
		{name: "unknown context", options: Options{Kubeconfig: good, Context: "x"}, kind: fail.NotFound, text: `has no context "x": it has lost, one, two`},
		{name: "no current context", options: Options{Kubeconfig: none}, kind: fail.Invalid, text: "has no current context"},
		{name: "context without cluster", options: Options{Kubeconfig: good, Context: "lost"}, kind: fail.Invalid, text: good},
		{name: "no yaml", options: Options{Kubeconfig: write("torn", "a: [")}, kind: fail.Invalid, text: "torn"},
		{name: "empty", options: Options{Kubeconfig: write("empty", "")}, kind: fail.Invalid, text: "it names no cluster"},
		{name: "a folder", options: Options{Kubeconfig: dir}, kind: fail.Invalid, text: "is a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.env)
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			c, err := Open(tt.options)
			if tt.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				if c.Server() != "https://192.0.2.1:6443/prefix" {
					t.Errorf("server %s", c.Server())
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) || fail.Of(err) != tt.kind {
				t.Errorf("error %v of kind %v, want %q of kind %v", err, fail.Of(err), tt.text, tt.kind)
			}
		})
	}
}
