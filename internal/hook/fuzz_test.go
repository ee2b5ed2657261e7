// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"encoding/json"
	"slices"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
)

// FuzzPod reads any bytes as a pod with annotations. A hook that has no problem can be run as it is.
func FuzzPod(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"db","namespace":"shop","annotations":{"pre.hook.backup.velero.io/command":"[\"/bin/sync\",\"-f\"]","pre.hook.backup.velero.io/timeout":"1m"}},"spec":{"containers":[{"name":"a"}]}}`))
	f.Add([]byte(`{"metadata":{"annotations":{"hook.backup.velero.io/command":"[","post.hook.backup.velero.io/command":"x","post.hook.backup.velero.io/on-error":"No"}}}`))
	f.Add([]byte(`{"metadata":{"annotations":{"post.hook.restore.velero.io/command":"x","post.hook.restore.velero.io/wait-timeout":"-1s","init.hook.restore.velero.io/container-image":"i:1"}},"spec":{"initContainers":[{"name":"b","restartPolicy":"Always"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := Read(body)
		if err != nil {
			if !fail.Is(err, fail.Corrupt) {
				t.Errorf("%v is %v", err, fail.Of(err))
			}
			return
		}
		s := &Sets{}
		for _, h := range slices.Concat(s.Of(report.Pre, p), s.Of(report.Post, p), s.Exec(p)) {
			runnable(t, p, h)
		}
		for _, i := range s.Init(p) {
			if (i.Problem == "") != (len(i.Containers) > 0) {
				t.Errorf("%+v", i)
			}
			own := Insert(nil, i.Containers)
			if again := Insert(own, i.Containers); len(again) != len(own) {
				t.Errorf("%d containers became %d", len(own), len(again))
			}
		}
	})
}

func runnable(t *testing.T, p Pod, h Hook) {
	t.Helper()
	if h.Problem != "" {
		return
	}
	known := h.OnError == velerov1.HookErrorModeFail || h.OnError == velerov1.HookErrorModeContinue
	if len(h.Command) == 0 || h.Timeout <= 0 || h.Wait < 0 || !known || !slices.Contains(p.Containers, h.Container) {
		t.Errorf("%+v", h)
	}
}

// FuzzSpec reads any bytes as the hooks of a Backup and of a Restore. What is taken can be run.
func FuzzSpec(f *testing.F) {
	f.Add([]byte(`{"resources":[{"name":"a","includedNamespaces":["s*"],"pre":[{"exec":{"container":"a","command":["x"],"onError":"Fail","timeout":"3s"}}],"post":[{}]}]}`))
	f.Add([]byte(`{"resources":[{"name":"a","labelSelector":{"matchExpressions":[{"key":"k","operator":"In","values":["v"]}]},"postHooks":[{"init":{"initContainers":[{"name":"n","image":"i","command":["c"]}]}},{"exec":{"command":["x"],"waitTimeout":"-1s"}}]}]}`))
	f.Add([]byte(`{"resources":[{"name":"","excludedResources":["pods"]},{"name":"b","includedResources":["deployments.apps"]}]}`))
	f.Fuzz(func(t *testing.T, spec []byte) {
		p := Pod{Namespace: "shop", Name: "db", Labels: map[string]string{"k": "v"}, Containers: []string{"a", "b"}}
		var b velerov1.BackupHooks
		if json.Unmarshal(spec, &b) == nil {
			s, err := ForBackup(b, types)
			taken(t, err, p, func() []Hook { return append(s.Of(report.Pre, p), s.Of(report.Post, p)...) })
		}
		var r velerov1.RestoreHooks
		if json.Unmarshal(spec, &r) == nil {
			s, err := ForRestore(r, types)
			taken(t, err, p, func() []Hook { s.Init(p); return s.Exec(p) })
		}
	})
}

func taken(t *testing.T, err error, p Pod, hooks func() []Hook) {
	t.Helper()
	if err != nil {
		if !fail.Is(err, fail.Invalid) {
			t.Errorf("%v is %v", err, fail.Of(err))
		}
		return
	}
	for _, h := range hooks() {
		runnable(t, p, h)
	}
}
