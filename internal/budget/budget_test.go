// SPDX-License-Identifier: Apache-2.0

package budget_test

import (
	"fmt"
	"slices"
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

// TestAffinity: selectors in the words of nodes, one of which must match, or may.
func TestAffinity(t *testing.T) {
	c, err := budget.Parse(map[string]string{"k": `{"loadAffinity": [
		{"nodeSelector": {"matchLabels": {"z": "1", "a": "2"}, "matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}}, {"nodeSelector": {"matchLabels": {"b": "3"}}}]}`})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{[{a In [2]} {z In [1]} {gpu DoesNotExist []}] []} {[{b In [3]}] []}]`
	if got := fmt.Sprint(budget.Required(c.Affine("")).RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms); got != want {
		t.Errorf("%s", got)
	}
	if got := budget.Preferred(c.Affine("")); len(got) != 2 || got[0].Weight != 100 || fmt.Sprint(got[1].Preference) != `{[{b In [3]}] []}` {
		t.Errorf("%v", got)
	}
	if budget.Required(nil) != nil || budget.Preferred(nil) != nil {
		t.Error("no selector is any node")
	}
}

// TestIgnored: nothing of Velero's is passed over in silence.
func TestIgnored(t *testing.T) {
	got := budget.Ignored(map[string]string{"k": strings.TrimSuffix(veleros, "}") + `, "podLabels": {"a": "b"}, "somethingNew": 1}`})
	var keys []string
	for key, why := range got {
		if keys = append(keys, key); why == "" {
			t.Errorf("%s: no reason", key)
		}
	}
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"backupPVC", "loadConcurrency.prepareQueueLength", "privilegedFsBackup", "somethingNew"}) {
		t.Errorf("%v", got)
	}
}
