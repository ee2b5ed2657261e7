// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/json"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// FuzzSelect makes the filters of any spec, and asks them. A spec that validation lets through makes a filter; one that it refuses does not.
func FuzzSelect(f *testing.F) {
	f.Add([]byte(`{}`), []byte(`{"metadata":{"name":"p","labels":{"app":"x"}}}`), "a")
	f.Add([]byte(`{"includedNamespaces":["a","b*","c[0-9]"],"excludedNamespaces":["bb"],"labelSelector":{"matchLabels":{"app":"x"}}}`), []byte(`{"metadata":{"labels":null}}`), "bb")
	f.Add([]byte(`{"includedResources":["po","deployments.apps","*.example.com"],"includeClusterResources":true,"backupName":"b"}`), []byte(`[]`), "")
	f.Add([]byte(`{"includedClusterScopedResources":["*"],"excludedNamespaceScopedResources":["secrets","{a,b}"]}`), []byte(`{"metadata":{"labels":{"a":1}}}`), "kube-system")
	f.Add([]byte(`{"orLabelSelectors":[null,{"matchExpressions":[{"key":"k","operator":"In","values":["v"]}]}]}`), []byte(`{"metadata":{"labels":{"k":"v"}}}`), "a")
	f.Fuzz(func(t *testing.T, spec, body []byte, namespace string) {
		var backup velerov1.BackupSpec
		var restore velerov1.RestoreSpec
		if json.Unmarshal(spec, &backup) != nil || json.Unmarshal(spec, &restore) != nil {
			return
		}
		cluster := []Namespace{{Name: "a", Active: true}, {Name: namespace, Active: true, Labels: map[string]string{velerov1.LabelExcludeFromBackup: "true"}}}
		made, err := ForBackup(backup, served, cluster)
		agree(t, ValidateBackup(backup), err)
		ask(t, made, body, namespace)
		made, err = ForRestore(restore, served)
		agree(t, ValidateRestore(restore), err)
		ask(t, made, body, namespace)
	})
}

// agree wants an error exactly when validation had something to say.
func agree(t *testing.T, problems []string, err error) {
	t.Helper()
	if (err != nil) != (len(problems) > 0) || err != nil && !fail.Is(err, fail.Invalid) {
		t.Errorf("error %v, validation %q", err, problems)
	}
}

func ask(t *testing.T, made *Filter, body []byte, namespace string) {
	t.Helper()
	if made == nil {
		return
	}
	head, err := object.Scan(body)
	if err != nil {
		return
	}
	for _, typ := range served {
		ref := object.Ref{Group: typ.Group, Resource: typ.Resource, Name: "p"}
		if typ.Namespaced {
			ref.Namespace = namespace
		}
		passes, reason := made.Object(ref, head)
		if passes != (reason == "") {
			t.Errorf("%v: %v for %q", ref, passes, reason)
		}
		if related, _ := made.Related(ref, head); passes && !related {
			t.Errorf("%v passes by itself and not when it is needed", ref)
		}
		if made.Type(typ) == Yes && strings.HasPrefix(typ.Resource, "volumesnapshot") && made.Resource(typ.Group, typ.Resource) {
			t.Errorf("%v is listed", typ)
		}
	}
}
