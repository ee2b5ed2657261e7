// SPDX-License-Identifier: Apache-2.0

// Command program has plugins for tests, on the framework that Velero gives to those who write plugins: an object store whose buckets are
// folders, and a snapshotter whose volumes are.
//
// Both have the setting "root", the folder of everything. A file "die" in it makes the program end in its next call, once; a file "dead" always does.
package main

import (
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
)

func main() {
	framework.NewServer().
		BindFlags(pflag.CommandLine).
		RegisterObjectStore("example.test/folder", func(log logrus.FieldLogger) (any, error) { return &store{log: log}, nil }).
		RegisterVolumeSnapshotter("example.test/disk", func(log logrus.FieldLogger) (any, error) { return &snapshotter{log: log}, nil }).
		Serve()
}

// mayDie ends the program if somebody wants that.
func mayDie(root string) {
	if root == "" {
		return
	}
	_, err := os.Stat(filepath.Join(root, "dead"))
	if err == nil || os.Remove(filepath.Join(root, "die")) == nil {
		os.Exit(3)
	}
}
