// SPDX-License-Identifier: Apache-2.0

package location

import (
	"maps"
	"os"
	"slices"
	"strconv"

	"hozon.dev/hozon/internal/fail"
)

// settings are a location's spec.config.
type settings struct{ of map[string]string }

// common are keys that every provider lets pass, because Velero puts them there itself.
var common = []string{"bucket", "prefix", "caCert"}

// know refuses settings that are neither known nor common, in Velero's words.
func (s settings) know(known ...string) error {
	var invalid []string
	for _, key := range slices.Sorted(maps.Keys(s.of)) {
		if !slices.Contains(known, key) && !slices.Contains(common, key) {
			invalid = append(invalid, key)
		}
	}
	if len(invalid) == 0 {
		return nil
	}
	return fail.Errorf(fail.Invalid, "config has invalid keys %v; valid keys are %v", invalid, slices.Concat(known, common))
}

// bool reads a key that may be missing.
func (s settings) bool(key string) (value, set bool, err error) {
	text := s.of[key]
	if text == "" {
		return false, false, nil
	}
	if value, err = strconv.ParseBool(text); err != nil {
		return false, false, fail.Errorf(fail.Invalid, "could not parse %s (expected bool): it is %q", key, text)
	}
	return value, true, nil
}

// maxFile bounds the small files that settings name.
const maxFile = 1 << 20

func readFile(key, name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxFile {
		return nil, fail.Errorf(fail.Invalid, "the file of %s, %s, has %d bytes: that cannot be right", key, name, info.Size())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fail.Errorf(fail.Invalid, "read the file of %s: %w", key, err)
	}
	return data, nil
}
