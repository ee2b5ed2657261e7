// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"testing"

	"hozon.dev/hozon/internal/archive"
)

func checkIndex(t *testing.T, items []archive.Item, sum archive.IndexSummary, file, index []byte) {}
