// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"bytes"
	"strings"

	"hozon.dev/hozon/internal/object"
)

const releasePrefix = "sh.helm.release.v1."

var releaseMark = []byte("meta.helm.sh/release-name")

// releaseOf is the release of Helm's that an object belongs to, "namespace/name"; "" if it belongs to none.
func releaseOf(ref object.Ref, head object.Head) string {
	if !bytes.Contains(head.RawAnnotations, releaseMark) {
		return ""
	}
	name, _ := head.Annotation("meta.helm.sh/release-name")
	namespace, ok := head.Annotation("meta.helm.sh/release-namespace")
	if !ok {
		namespace = ref.Namespace
	}
	if name == "" {
		return ""
	}
	return namespace + "/" + name
}

// RecordOf is the release of which an object is one of Helm's records, by its name; "" if it is none.
func RecordOf(ref object.Ref) string {
	if ref.Group != "" || ref.Resource != "secrets" && ref.Resource != "configmaps" {
		return ""
	}
	name, ok := strings.CutPrefix(ref.Name, releasePrefix)
	at := strings.LastIndex(name, ".v")
	if !ok || at <= 0 {
		return ""
	}
	return ref.Namespace + "/" + name[:at]
}
