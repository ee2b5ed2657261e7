// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"strings"

	"hozon.dev/hozon/internal/cli/env"
)

// parseOrdered reads 'kind=ns/a,ns/b;kind2=…'.
func parseOrdered(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	ordered := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		kind, names, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || kind == "" || names == "" {
			return nil, env.Usagef("--ordered-resources %q: %q is not of the form kind=ns/a,ns/b", text, part)
		}
		ordered[kind] = names
	}
	return ordered, nil
}

func joined(texts []string) string { return strings.Join(texts, "; ") }
