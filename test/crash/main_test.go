// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"flag"
	"os"
	"testing"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	clustertest.Main(m)
	os.RemoveAll(built.dir)
}
