// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }
