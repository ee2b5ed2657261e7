// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Required is the affinity of a pod that may run only where one of the selectors matches the node; nil: anywhere.
func Required(selectors []metav1.LabelSelector) *corev1.NodeAffinity {
	if len(selectors) == 0 {
		return nil
	}
	all := &corev1.NodeSelector{}
	for _, s := range selectors {
		all.NodeSelectorTerms = append(all.NodeSelectorTerms, term(s))
	}
	return &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: all}
}

// Preferred are the terms of a pod that runs where one of the selectors matches if it can, and else where it may.
func Preferred(selectors []metav1.LabelSelector) []corev1.PreferredSchedulingTerm {
	const most = 100 // of weights
	var all []corev1.PreferredSchedulingTerm
	for _, s := range selectors {
		all = append(all, corev1.PreferredSchedulingTerm{Weight: most, Preference: term(s)})
	}
	return all
}

// term is a selector in the words of nodes.
func term(s metav1.LabelSelector) corev1.NodeSelectorTerm {
	var t corev1.NodeSelectorTerm
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		t.MatchExpressions = append(t.MatchExpressions, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{s.MatchLabels[key]}})
	}
	for _, e := range s.MatchExpressions {
		t.MatchExpressions = append(t.MatchExpressions, corev1.NodeSelectorRequirement{Key: e.Key, Operator: corev1.NodeSelectorOperator(e.Operator), Values: e.Values})
	}
	return t
}
