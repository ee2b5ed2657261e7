// SPDX-License-Identifier: Apache-2.0

// Package install installs the server in a cluster that has a node, as a user would, and works with it: `hozon install`, pods that run our
// image as nobody with a read-only root, backups and restores asked for from outside, `hozon uninstall`.
package install
