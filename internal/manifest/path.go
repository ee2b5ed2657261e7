// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"hozon.dev/hozon/internal/object"
)

// The folders of a tree. In the order of their names they can be applied: what is cluster-scoped, the namespaces, what is in them, and last the
// pods that stand alone, which need their service accounts to be there.
const (
	ClusterFolder   = "cluster"
	NamespaceFolder = "namespaces"
	ObjectFolder    = "objects"
	PodFolder       = "pods"
)

// Path is where an object lies in a tree, with slashes. It is a function of the name alone, and no two objects share one, also
// where a file system does not tell upper from lower case.
func Path(ref object.Ref) string {
	file := escape(ref.Name) + ".yaml"
	switch {
	case ref.Group == "" && ref.Resource == "namespaces":
		return NamespaceFolder + "/" + file
	case ref.Namespace == "":
		return ClusterFolder + "/" + escape(ref.GroupResource()) + "/" + file
	case ref.Group == "" && ref.Resource == "pods":
		return PodFolder + "/" + escape(ref.Namespace) + "/" + file
	}
	return ObjectFolder + "/" + escape(ref.Namespace) + "/" + escape(ref.GroupResource()) + "/" + file
}

// escape makes a file's name of an object's: what a file system may not take or not tell apart becomes %XX, what is too long ends in a hash.
func escape(name string) string {
	const longest = 200
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		plain := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	out := b.String()
	if len(out) <= longest {
		return out
	}
	sum := sha256.Sum256([]byte(name))
	return out[:longest-17] + "~" + hex.EncodeToString(sum[:8])
}
