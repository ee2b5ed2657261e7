// SPDX-License-Identifier: Apache-2.0

package seed

import (
	"testing"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// TestDocuments goes through both documents, on one cluster: the second begins where nothing is installed.
func TestDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster with a node")
	}
	u := newUser(t)
	t.Run("circleci", u.circleci)
	u.t = t
	u.sh("hozon uninstall --force")
	t.Run("techstep", u.techstep)
}
