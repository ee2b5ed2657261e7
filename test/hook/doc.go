// SPDX-License-Identifier: Apache-2.0

// Package hook runs the hooks of backups and restores in real pods, by the real hozon: the command on a folder, and the server, which
// is killed in the middle.
package hook
