// SPDX-License-Identifier: Apache-2.0

package budget_test

import (
	"strings"
	"testing"

	"hozon.dev/hozon/internal/budget"
	"hozon.dev/hozon/internal/fail"
)

// veleros is of the form that Velero's documentation has.
const veleros = `{
	"loadConcurrency": {
		"globalConfig": 2,
		"perNodeConfig": [
			{"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "node1"}}, "number": 3},
			{"nodeSelector": {"matchLabels": {"size": "small"}}, "number": 1},
			{"nodeSelector": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["fast", "faster"]}]}, "number": 8}
		],
		"prepareQueueLength": 10
	},
	"loadAffinity": [{"nodeSelector": {"matchLabels": {"a": "b"}}}, {"nodeSelector": {"matchLabels": {"c": "d"}}, "storageClass": "gold"}],
	"backupPVC": {"gold": {"readOnly": true}}, "privilegedFsBackup": true
}`

func TestVolumes(t *testing.T) {
	c, err := budget.Parse(map[string]string{"any-key.json": veleros})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		node map[string]string
		want int
	}{
		{nil, 2},
		{map[string]string{"kubernetes.io/hostname": "node1"}, 3},
		{map[string]string{"kubernetes.io/hostname": "node1", "size": "small"}, 1},
		{map[string]string{"disk": "faster"}, 8},
	} {
		if got := c.Volumes(x.node, 5); got != x.want {
			t.Errorf("%v: %d, want %d", x.node, got, x.want)
		}
	}
	if got := (budget.Config{}).Volumes(nil, 5); got != 5 {
		t.Errorf("without a ConfigMap: %d", got)
	}
	if got := c.Affine("gold"); len(got) != 1 || got[0].MatchLabels["c"] != "d" {
		t.Errorf("gold: %v", got)
	}
	if got := c.Affine("tin"); len(got) != 1 || got[0].MatchLabels["a"] != "b" {
		t.Errorf("tin: %v", got)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`{"loadConcurrency": {"globalConfig": -1}}`:                                                                "globalConfig -1",
		`{"loadConcurrency": {"perNodeConfig": [{"number": 0}]}}`:                                                  "perNodeConfig[0].number 0",
		`{"loadAffinity": [{"nodeSelector": {"matchExpressions": [{"key": "a"}]}}]}`:                               "loadAffinity[0].nodeSelector",
		`{"loadConcurrency": {"globalConfig": "two"}}`:                                                             `key "k"`,
		`{"loadConcurrency": {"perNodeConfig": [{"nodeSelector": {"matchLabels": {"a/b/c": "d"}}, "number": 1}]}}`: "perNodeConfig[0].nodeSelector",
	} {
		if _, err := budget.Parse(map[string]string{"k": text}); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, data := range []map[string]string{nil, {"a": "{}", "b": "{}"}} {
		if _, err := budget.Parse(data); !fail.Is(err, fail.Invalid) {
			t.Errorf("%v: %v", data, err)
		}
	}
	if c, err := budget.Parse(map[string]string{"k": "{}"}); err != nil || c.Volumes(nil, 4) != 4 {
		t.Errorf("%+v, %v", c, err)
	}
}
