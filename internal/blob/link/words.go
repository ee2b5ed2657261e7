// SPDX-License-Identifier: Apache-2.0

package link

import "cmp"

// Words are the names that messages give to settings, so that they are the ones that the user has written. The zero value is for those of a store's URL.
type Words struct {
	Place       string // where all settings are: "the store's URL"
	Credentials string // where the credentials given came from: "Secret velero/cloud-credentials"
	CA          string // "ca=FILE"
}

// Where is the place of all settings.
func (w Words) Where() string { return cmp.Or(w.Place, "the store's URL") }

// Source is where the credentials given came from.
func (w Words) Source() string { return cmp.Or(w.Credentials, "the credentials given") }

// TLS says whom to trust, besides the system's authorities, in these words.
func (w Words) TLS(caFile string, ca []byte) TLS {
	return TLS{CAFile: caFile, CA: ca, Setting: cmp.Or(w.CA, "ca=FILE"), Place: w.Where()}
}
