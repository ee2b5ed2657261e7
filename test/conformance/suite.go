// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

//go:embed cases
var files embed.FS

const (
	backupName = "conf"
	repeats    = 9 // restores after the first, which have nothing to do
	// modifiersName is the ConfigMap with resource modifiers, in Velero's namespace.
	modifiersName = "conf-modifiers"
)

// Suite puts a program to the test.
type Suite struct {
	SUT            SUT
	Source, Target *Site
	Hooks          *Hooks
	Log            func(format string, args ...any)
	// Only are the ids of the cases that run; nil: all.
	Only []string

	list []Case // those that run: they keep state between their steps
}

// Verdicts are what does not hold: by case and way. A case that was not tried in a way is not in it.
type Verdicts map[string]map[Way][]string

// Keys of verdicts that are about all cases together.
const (
	Again  = "again"   // what was found when the backup was restored ten times
	DryRun = "dry run" // of what a dry run said something else
	Alone  = "alone"   // what came along with a single namespace
)

// Run runs all cases in all ways that the program has. The error is about the test itself.
func (s *Suite) Run(ctx context.Context) (Verdicts, error) {
	v := Verdicts{}
	if err := s.fill(ctx); err != nil {
		return nil, err
	}
	if err := s.SUT.Enter(ctx, s.Source); err != nil {
		return nil, err
	}
	saved := s.capture(ctx)
	spec := velerov1.BackupSpec{IncludedNamespaces: []string{"conf-*"}, IncludeClusterResources: new(true)}
	if err := s.SUT.Backup(ctx, backupName, spec); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	for _, way := range Ways {
		if !s.SUT.Can(way) {
			continue
		}
		if way == NewCluster {
			if err := s.SUT.Enter(ctx, s.Target); err != nil {
				return nil, err
			}
			if err := s.alone(ctx, v); err != nil {
				return nil, err
			}
		}
		outcome, err := s.try(ctx, way, saved, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way, err)
		}
		if way == NewCluster {
			if err := s.again(ctx, v, outcome); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (s *Suite) cases() []Case {
	if s.list == nil {
		s.list = slices.DeleteFunc(Cases(), func(c Case) bool { return s.Only != nil && !slices.Contains(s.Only, c.ID) })
	}
	return s.list
}

// scene sets up one case in one way.
func (s *Suite) scene(ctx context.Context, c *Case, way Way, saved map[string]*unstructured.Unstructured) *Scene {
	site := s.Source
	if way == NewCluster {
		site = s.Target
	}
	return &Scene{Way: way, Site: site, Hooks: s.Hooks, ctx: ctx, c: c, saved: saved}
}

// each does something to every case, side by side, and collects what does not hold.
func (s *Suite) each(ctx context.Context, way Way, saved states, do func(*Scene)) map[string][]string {
	var mu sync.Mutex
	var wg sync.WaitGroup
	fails := map[string][]string{}
	for _, c := range s.cases() {
		wg.Go(func() {
			scene := s.scene(ctx, &c, way, saved[c.ID])
			do(scene)
			mu.Lock()
			defer mu.Unlock()
			fails[c.ID] = scene.fails
		})
	}
	wg.Wait()
	return fails
}

// states are the objects of each case as the source had them.
type states map[string]map[string]*unstructured.Unstructured

// documents are the objects of one of a case's files.
func (s *Scene) documents(file string) []map[string]any {
	text, err := files.ReadFile("cases/" + strings.ToLower(s.c.ID) + file)
	if err != nil {
		return nil // most have no second file
	}
	var out []map[string]any
	for _, doc := range bytes.Split([]byte(s.fill(string(text))), []byte("\n---\n")) {
		var o map[string]any
		if err := yaml.Unmarshal(doc, &o); err != nil {
			s.Fail("%s: %v", file, err)
		}
		if len(o) > 0 {
			out = append(out, o)
		}
	}
	return out
}

// stage is when an object of a case is made: what others depend on first, what would stand in their way last.
func stage(o map[string]any) int {
	switch o["kind"] {
	case "CustomResourceDefinition", "Namespace":
		return 0
	case "MutatingWebhookConfiguration", "StorageClass", "PriorityClass", "PersistentVolume", "ServiceAccount":
		return 1
	case "ResourceQuota", "ValidatingWebhookConfiguration", "APIService":
		return 3
	}
	return 2
}

// make creates the objects of one file of each case.
func (s *Suite) make(ctx context.Context, way Way, file string) error {
	site := s.scene(ctx, &Case{}, way, nil).Site
	var stages [4]strings.Builder
	for _, c := range s.cases() {
		scene := s.scene(ctx, &c, way, nil)
		for _, o := range scene.documents(file) {
			text, err := yaml.Marshal(o)
			if err != nil {
				return err
			}
			fmt.Fprintf(&stages[stage(o)], "---\n%s", text)
		}
		if len(scene.fails) > 0 {
			return fmt.Errorf("case %s: %s", c.ID, scene.fails)
		}
	}
	for i := range stages {
		if stages[i].Len() == 0 {
			continue
		}
		if _, err := site.run(ctx, stages[i].String(), "create", "-f", "-"); err != nil {
			return err
		}
		if i == 0 {
			if _, err := site.run(ctx, "", "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"); err != nil && strings.Contains(stages[0].String(), "CustomResource") {
				return err
			}
		}
	}
	return nil
}

// fill makes the source, and what the target has before.
func (s *Suite) fill(ctx context.Context) error {
	if err := s.make(ctx, None, ".yaml"); err != nil {
		return err
	}
	if err := s.make(ctx, NewCluster, ".target.yaml"); err != nil {
		return err
	}
	for _, site := range []*Site{s.Source, s.Target} {
		if err := addModifiers(ctx, site); err != nil {
			return err
		}
	}
	fails := s.each(ctx, None, nil, func(scene *Scene) {
		if scene.c.Ready != nil {
			scene.Until("the source is ready", func() bool { return scene.c.Ready(scene) })
		}
	})
	for _, id := range slices.Sorted(maps.Keys(fails)) {
		if len(fails[id]) > 0 {
			return fmt.Errorf("case %s: %s", id, fails[id])
		}
	}
	return nil
}

func addModifiers(ctx context.Context, site *Site) error {
	text, err := files.ReadFile("cases/modifiers.yaml")
	if err != nil {
		return err
	}
	_, _ = site.run(ctx, "", "create", "namespace", "velero") // it may be there
	_, err = site.run(ctx, "", "-n", "velero", "create", "configmap", modifiersName, "--from-literal=modifiers.yaml="+string(text))
	return err
}

// capture reads the objects of all cases.
func (s *Suite) capture(ctx context.Context) states {
	all := states{}
	for _, c := range s.cases() {
		scene := s.scene(ctx, &c, None, nil)
		all[c.ID] = map[string]*unstructured.Unstructured{}
		for _, o := range scene.documents(".yaml") {
			u := &unstructured.Unstructured{Object: o}
			ref := scene.ref(u)
			if live := scene.Get(ref); live != nil {
				all[c.ID][ref] = &unstructured.Unstructured{Object: live}
			}
		}
	}
	return all
}

// ref is "configmaps/a" for an object of the case's own namespace.
func (s *Scene) ref(u *unstructured.Unstructured) string {
	gvk := u.GroupVersionKind()
	if _, err := s.Site.typeOf(s.ctx, "pods"); err != nil {
		s.Fail("%v", err)
		return ""
	}
	s.Site.mu.Lock()
	defer s.Site.mu.Unlock()
	for resource, t := range s.Site.types {
		if t.Group == gvk.Group && t.Kind == gvk.Kind {
			if ns := u.GetNamespace(); ns != "" && ns != s.base() {
				return resource + "/" + ns + "/" + u.GetName()
			}
			return resource + "/" + u.GetName()
		}
	}
	s.Fail("no resource of kind %s", gvk)
	return ""
}

// try restores in one way and checks every case.
func (s *Suite) try(ctx context.Context, way Way, saved states, v Verdicts) (Outcome, error) {
	before := s.each(ctx, way, saved, func(scene *Scene) {
		switch {
		case way.existing() && scene.c.Drift != nil:
			scene.c.Drift(scene)
		case !way.existing() && scene.c.Before != nil:
			scene.c.Before(scene)
		}
	})
	spec := s.spec(way)
	outcome, err := s.SUT.Restore(ctx, "r-"+strings.ReplaceAll(string(way), " ", "-"), spec)
	if err != nil {
		return outcome, err
	}
	s.Log("%s: %s, %d errors, %d warnings", way, outcome.Phase, len(outcome.Errors), len(outcome.Warnings))
	after := s.each(ctx, way, saved, func(scene *Scene) {
		scene.Outcome = outcome
		s.check(scene)
	})
	for id, fails := range after {
		if v[id] == nil {
			v[id] = map[Way][]string{}
		}
		v[id][way] = append(before[id], fails...)
	}
	if v[DryRun] == nil {
		v[DryRun] = map[Way][]string{}
	}
	v[DryRun][way] = outcome.Surprises
	return outcome, nil
}

func (s *Suite) spec(way Way) velerov1.RestoreSpec {
	spec := velerov1.RestoreSpec{
		BackupName: backupName, IncludeClusterResources: new(true),
		RestoreStatus:    &velerov1.RestoreStatusSpec{IncludedResources: []string{"widgets.c14.conf.example.com", "plains.c14.conf.example.com"}},
		ResourceModifier: &corev1.TypedLocalObjectReference{Kind: "ConfigMap", Name: modifiersName},
	}
	switch way {
	case NewNamespace:
		spec.NamespaceMapping = map[string]string{}
		for _, c := range s.cases() {
			scene := s.scene(context.Background(), &c, None, nil)
			for _, o := range scene.documents(".yaml") {
				if name := (&unstructured.Unstructured{Object: o}).GetName(); o["kind"] == "Namespace" {
					spec.NamespaceMapping[name] = name + "-copy"
				}
			}
		}
	case None, Update, Recreate:
		spec.ExistingResourcePolicy = velerov1.PolicyType(way)
	}
	return spec
}

// check compares every object of a case with what was saved, and asks the case for the rest.
func (s *Suite) check(scene *Scene) {
	for _, ref := range slices.Sorted(maps.Keys(scene.saved)) {
		switch changed, fixed := slices.Contains(scene.c.Changed, ref), slices.Contains(scene.c.Fixed, ref); {
		case slices.Contains(scene.c.Free, ref):
		case scene.Way == None && (changed || fixed), scene.Way == Update && fixed:
			if scene.Differs(ref) == "" {
				scene.Fail("%s is as it was saved, although the policy is %s", ref, scene.Way)
			}
			_, name, _ := strings.Cut(ref, "/")
			scene.Says(name[strings.LastIndex(name, "/")+1:])
		default:
			scene.Same(ref)
		}
	}
	if scene.c.Check != nil {
		scene.c.Check(scene)
	}
}

// alone restores one namespace of all into the new cluster: nothing comes along that it does not need.
func (s *Suite) alone(ctx context.Context, v Verdicts) error {
	spec := s.spec(NewCluster)
	spec.IncludedNamespaces, spec.IncludeClusterResources = []string{"conf-x1"}, nil
	outcome, err := s.SUT.Restore(ctx, "alone", spec)
	if err != nil {
		return err
	}
	fails := outcome.Surprises
	for _, ref := range outcome.Changed {
		if !strings.Contains(ref, "conf-x1") {
			fails = append(fails, ref+" came along")
		}
	}
	v[Alone] = map[Way][]string{NewCluster: fails}
	return nil
}

// again restores the same backup nine times more: nothing is changed, and nothing is said that is not explained.
func (s *Suite) again(ctx context.Context, v Verdicts, first Outcome) error {
	explained := slices.Clone(first.Warnings[:0])
	for _, c := range s.cases() {
		explained = append(explained, c.Explained...)
	}
	v[Again] = map[Way][]string{NewCluster: nil}
	for i := range repeats {
		outcome, err := s.SUT.Restore(ctx, fmt.Sprintf("again-%d", i+2), s.spec(NewCluster))
		if err != nil {
			return err
		}
		var fails []string
		for _, ref := range outcome.Changed {
			fails = append(fails, fmt.Sprintf("restore %d changed %s", i+2, ref))
		}
		for _, text := range append(outcome.Errors, outcome.Warnings...) {
			if !slices.ContainsFunc(explained, func(part string) bool { return strings.Contains(text, part) }) {
				fails = append(fails, fmt.Sprintf("restore %d: %s", i+2, text))
			}
		}
		fails = append(fails, outcome.Surprises...)
		v[Again][NewCluster] = append(v[Again][NewCluster], fails...)
		if len(fails) > 0 {
			break // the others say the same
		}
	}
	return nil
}
