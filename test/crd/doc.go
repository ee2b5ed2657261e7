// SPDX-License-Identifier: Apache-2.0

// Package crd tests the kinds of velero.io: that the CRDs in deploy/crd are those of Velero 1.18 in all but words,
// that an API server accepts them, and that objects written by the real program come through our types unchanged.
//
// testdata/velero-1.18.3.txt has the facts of Velero's own CRDs: names, columns, and the type, constraints and default
// of every field, without descriptions. It was written by
//
//	go test ./test/crd -run TestFacts -velero FOLDER
//
// where FOLDER is config/crd of the module github.com/vmware-tanzu/velero v1.18.3.
//
// testdata/written.jsonl has every state of every object that Velero 1.18.3's own command line and server wrote while they
// ran on our CRDs (a location that works and one that does not, a right and a wrong schedule, a backup and its
// restore, logs, plugins, deletion), as `kubectl get -w -o json` showed them. Kinds that need a node agent are not among them.
package crd
