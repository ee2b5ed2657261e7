// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"testing"

	"hozon.dev/hozon/internal/object"
)

// TestNewestOfWatchedKind: a barrier that waits on ReplicaSets must not wait for the revision of a LimitRange of the same stage.
func TestNewestOfWatchedKind(t *testing.T) {
	r := New(Options{})
	r.watched = replicaSetType.GroupResource()
	made := func(typ object.Type, version int) {
		r.made(typ, fmt.Appendf(nil, `{"metadata":{"name":"a","resourceVersion":"%d"}}`, version))
	}
	made(replicaSetType, 7)
	made(object.Type{Version: "v1", Resource: "limitranges"}, 9)
	made(replicaSetType, 5)
	if r.newest != 7 {
		t.Errorf("the barrier waits for %d, want 7", r.newest)
	}
}
