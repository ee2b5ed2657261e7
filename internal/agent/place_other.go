// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package agent

import (
	"os"
	"time"

	"hozon.dev/hozon/internal/fail"
)

func fdPath(f *os.File) string { return f.Name() }

func openFolder(path string, _ bool) (*folder, error) {
	return nil, fail.Errorf(fail.Unsupported, "%s: node agents run on Linux", path)
}

func lastRead(os.FileInfo) time.Time { return time.Time{} }

func (p Place) openHost(path string) (*folder, error) { return openFolder(path, false) }
