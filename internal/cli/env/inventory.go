// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"io"
	"os"

	"hozon.dev/hozon/internal/host"
)

// maxText bounds files that are written by hand.
const maxText = 1 << 20

// ReadText reads a file that somebody wrote by hand.
func ReadText(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", UsageError(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxText {
		return "", Usagef("read %s: larger than %d bytes", name, maxText)
	}
	return string(text), nil
}

// ReadInventory reads the machines of a cluster; without a file it is this machine.
func ReadInventory(name string) (host.Inventory, error) {
	if name == "" {
		return host.This(), nil
	}
	text, err := ReadText(name)
	if err != nil {
		return host.Inventory{}, err
	}
	inv, err := host.ParseInventory([]byte(text))
	if err != nil {
		return inv, fmt.Errorf("%s: %w", name, err)
	}
	return inv, nil
}
