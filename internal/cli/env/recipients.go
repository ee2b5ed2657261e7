// SPDX-License-Identifier: Apache-2.0

package env

import (
	"strings"

	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/seal"
)

// Recipients are the flags that say to whom archives are sealed.
type Recipients struct {
	list []string
	file string
}

// AddFlags registers the flags.
func (r *Recipients) AddFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&r.list, "recipient", nil, "age recipient that archives are sealed to; may be repeated.")
	f.StringVar(&r.file, "recipients-file", "", "File with age recipients, one a line.")
}

// Texts are the recipients as they were given.
func (r *Recipients) Texts() ([]string, error) {
	text := strings.Join(r.list, "\n")
	if r.file != "" {
		more, err := ReadText(r.file)
		if err != nil {
			return nil, err
		}
		text += "\n" + more
	}
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all, nil
}

// Read parses them; nil if there are none.
func (r *Recipients) Read() (seal.Recipients, error) {
	all, err := r.Texts()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return seal.ParseRecipients(strings.Join(all, "\n"))
}
