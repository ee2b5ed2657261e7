// SPDX-License-Identifier: Apache-2.0

package env

import "os"

// Workspace is the folder for archives of control planes: bmctl's if it is here, else our own.
func Workspace() string {
	const theirs, ours = "bmctl-workspace", "hozon-workspace"
	if info, err := os.Stat(theirs); err == nil && info.IsDir() {
		return theirs
	}
	return ours
}
