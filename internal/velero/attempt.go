// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// MaxAttempts bounds how often a server or a node agent begins what an object asks for.
const MaxAttempts = 3

// Attempts is how often what an object asks for was begun; 0: never. A number that was tampered with counts as the last one allowed.
func Attempts(o metav1.Object) int {
	text, ok := o.GetAnnotations()[velerov1.AnnotationAttempt]
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return MaxAttempts
	}
	return n
}

// SetAttempts notes on an object how often what it asks for was begun.
func SetAttempts(o metav1.Object, n int) { Annotate(o, velerov1.AnnotationAttempt, strconv.Itoa(n)) }

// Annotate sets an annotation of an object in memory.
func Annotate(o metav1.Object, key, value string) {
	m := o.GetAnnotations()
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	o.SetAnnotations(m)
}
