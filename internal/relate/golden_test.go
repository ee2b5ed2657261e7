// SPDX-License-Identifier: Apache-2.0

package relate

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"hozon.dev/hozon/internal/object"
)

// TestActions runs Velero's built-in actions that bring further objects along: each file of testdata has the objects of a cluster, which of
// them are chosen, and which are to be taken. Every kind is served, and its objects may be taken.
func TestActions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, chosen, _ := strings.Cut(strings.TrimSpace(string(a.Comment)), "chosen: ")
			g := golden{t: t, chosen: strings.Fields(chosen), bodies: map[string]string{}}
			var want []string
			for _, f := range a.Files {
				if f.Name == "taken" {
					want = strings.Fields(string(f.Data))
					continue
				}
				g.bodies[f.Name] = string(f.Data)
				g.order = append(g.order, f.Name)
			}
			if diff := cmp.Diff(want, g.run()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// golden goes through the objects as a collector does: wave by wave, then for what is late.
type golden struct {
	t      *testing.T
	chosen []string
	order  []string
	bodies map[string]string
	set    Set
	taken  []string
}

func (g *golden) run() []string {
	g.set.GroupLabel = "velero.io/volume-group"
	var types []object.Type
	for _, name := range g.order {
		r := ref(name)
		t := object.Type{Group: r.Group, Resource: r.Resource, Namespaced: r.Namespace != ""}
		if !slices.ContainsFunc(types, func(o object.Type) bool { return o.GroupResource() == t.GroupResource() }) {
			types = append(types, t)
		}
	}
	for _, wave := range Waves(types, nil) {
		for _, t := range wave {
			for _, name := range g.order {
				if ref(name).GroupResource() == t.GroupResource() {
					g.offer(name)
				}
			}
		}
	}
	for late := g.set.Late(); len(late) > 0; late = g.set.Late() {
		for _, r := range late {
			if _, ok := g.bodies[r.String()]; ok {
				g.take(r.String())
			}
		}
	}
	slices.Sort(g.taken)
	return g.taken
}

func (g *golden) offer(name string) {
	g.t.Helper()
	head, err := object.Scan([]byte(g.bodies[name]))
	if err != nil {
		g.t.Fatal(err)
	}
	needed, err := g.set.Needed(ref(name), head, []byte(g.bodies[name]))
	if err != nil {
		g.t.Fatal(err)
	}
	if needed || slices.Contains(g.chosen, name) {
		g.take(name)
	} else if err := g.set.Pass(ref(name), head, []byte(g.bodies[name])); err != nil {
		g.t.Fatal(err)
	}
}

func (g *golden) take(name string) {
	g.t.Helper()
	if slices.Contains(g.taken, name) {
		g.t.Errorf("%s is taken twice", name)
	}
	g.taken = append(g.taken, name)
	head, err := object.Scan([]byte(g.bodies[name]))
	if err == nil {
		err = g.set.Add(ref(name), head, []byte(g.bodies[name]))
	}
	if err != nil {
		g.t.Fatal(err)
	}
}
