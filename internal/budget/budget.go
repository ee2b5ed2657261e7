// SPDX-License-Identifier: Apache-2.0

// Package budget reads the ConfigMap of the node agents (--node-agent-configmap): how many volumes a node works on at a time, and which nodes
// data are moved on.
//
// A Config is what the ConfigMap says, in Velero's form: its one key holds JSON. What it says about pods that move data (there are none: the agents do it)
// is not read; Ignored names it.
//
// One thing differs from Velero: a number below one and a selector that cannot be read are refused, where Velero goes on with its default.
package budget

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"hozon.dev/hozon/internal/fail"
)

// Config is the part of the ConfigMap that counts. The zero value is that of no ConfigMap.
type Config struct {
	Load         Load       `json:"loadConcurrency"`
	LoadAffinity []Affinity `json:"loadAffinity"`
	// Of the pods through which claims are mounted.
	PodLabels      map[string]string `json:"podLabels"`
	PodAnnotations map[string]string `json:"podAnnotations"`
}

// ignored are Velero's settings that have no meaning here, and why.
var ignored = []struct{ key, why string }{
	{"backupPVC", "no claim is made of a snapshot"},
	{"restorePVC", "claims are filled where they are"},
	{"cachePVC", "caches are in the folder for temporary files of the agents"},
	{"podResources", "the agents move the data: what they may use is in their DaemonSet"},
	{"priorityClassName", "the agents move the data: their priority is in their DaemonSet"},
	{"privilegedFsBackup", "hozon install --privileged-node-agent makes the agents privileged"},
}

// Ignored says of what the ConfigMap says but does not count, why, by its key.
func Ignored(data map[string]string) map[string]string {
	all := map[string]string{}
	for _, text := range data {
		var said map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &said) != nil { // Parse tells
			continue
		}
		for _, i := range ignored {
			if _, ok := said[i.key]; ok {
				all[i.key] = i.why
			}
			delete(said, i.key)
		}
		var load map[string]json.RawMessage
		if json.Unmarshal(said["loadConcurrency"], &load) == nil && load["prepareQueueLength"] != nil {
			all["loadConcurrency.prepareQueueLength"] = "no pod has to be prepared"
		}
		for _, known := range []string{"loadConcurrency", "loadAffinity", "podLabels", "podAnnotations"} {
			delete(said, known)
		}
		for key := range said {
			all[key] = "it is not known"
		}
	}
	return all
}

// Load bounds the volumes that a node works on at a time.
type Load struct {
	Global  int    `json:"globalConfig"` // 0: not set
	PerNode []Rule `json:"perNodeConfig"`
}

// Rule is a bound for the nodes that a selector matches.
type Rule struct {
	NodeSelector metav1.LabelSelector `json:"nodeSelector"`
	Number       int                  `json:"number"`
}

// Affinity names nodes that data are moved on. One with a storage class is for volumes of that class only.
type Affinity struct {
	NodeSelector metav1.LabelSelector `json:"nodeSelector"`
	StorageClass string               `json:"storageClass"`
}

// Parse reads the data of a ConfigMap, which has one key.
func Parse(data map[string]string) (Config, error) {
	if len(data) != 1 {
		return Config{}, fail.Errorf(fail.Invalid, "the ConfigMap of the node agents has %d keys: it needs one, which holds JSON", len(data))
	}
	var c Config
	for key, text := range data {
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return Config{}, fail.Errorf(fail.Invalid, "key %q of the ConfigMap of the node agents: %w", key, err)
		}
	}
	return c, c.check()
}

func (c Config) check() error {
	if c.Load.Global < 0 {
		return fail.Errorf(fail.Invalid, "loadConcurrency.globalConfig %d: at least one volume must be able to be worked on", c.Load.Global)
	}
	for i, r := range c.Load.PerNode {
		if r.Number < 1 {
			return fail.Errorf(fail.Invalid, "loadConcurrency.perNodeConfig[%d].number %d: at least one volume must be able to be worked on", i, r.Number)
		}
		if _, err := metav1.LabelSelectorAsSelector(&r.NodeSelector); err != nil {
			return fail.Errorf(fail.Invalid, "loadConcurrency.perNodeConfig[%d].nodeSelector: %w", i, err)
		}
	}
	for i, a := range c.LoadAffinity {
		if _, err := metav1.LabelSelectorAsSelector(&a.NodeSelector); err != nil {
			return fail.Errorf(fail.Invalid, "loadAffinity[%d].nodeSelector: %w", i, err)
		}
	}
	return nil
}

// Volumes is how many volumes a node with these labels works on at a time: the smallest number of the rules that match it, else the global one,
// else what the caller says.
func (c Config) Volumes(node map[string]string, otherwise int) int {
	var numbers []int
	for _, r := range c.Load.PerNode {
		if matches(r.NodeSelector, node) {
			numbers = append(numbers, r.Number)
		}
	}
	switch {
	case len(numbers) > 0:
		return slices.Min(numbers)
	case c.Load.Global > 0:
		return c.Load.Global
	}
	return otherwise
}

// Affine returns what counts for volumes of a storage class: those of that class, or without any those of no class. Nil means any node.
func (c Config) Affine(storageClass string) []metav1.LabelSelector {
	var own, general []metav1.LabelSelector
	for _, a := range c.LoadAffinity {
		switch {
		case a.StorageClass == "":
			general = append(general, a.NodeSelector)
		case a.StorageClass == storageClass:
			own = append(own, a.NodeSelector)
		}
	}
	if len(own) > 0 {
		return own
	}
	return general
}

// matches: selectors were checked.
func matches(s metav1.LabelSelector, node map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(&s)
	return err == nil && selector.Matches(labels.Set(node))
}
