// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/internal/dr/decode"
)

// maxCertificates bounds the list.
const maxCertificates = 10_000

// Certificate is an X.509 certificate that was found.
type Certificate struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Names       []string  `json:"names,omitempty"` // DNS names and addresses
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	CA          bool      `json:"ca,omitempty"`
	Fingerprint string    `json:"sha256"`
	Place       string    `json:"place"`            // the first place, by name
	Places      int       `json:"places,omitempty"` // how many there are
}

const pemStart = "-----BEGIN CERTIFICATE-----"

// base64Start is how pemStart begins in base64, which is how Kubernetes writes bytes in JSON.
var base64Start = base64.StdEncoding.EncodeToString([]byte(pemStart[:24]))

type certificates map[[sha256.Size]byte]*Certificate

// find looks through all texts of an object for certificates.
func (cs certificates) find(o decode.Object) {
	if !bytes.Contains(o.Body, []byte(pemStart)) && !bytes.Contains(o.Body, []byte(base64Start)) {
		return
	}
	var v any
	if json.Unmarshal(o.Body, &v) == nil {
		cs.inValue(v, o.Ref.String())
	}
}

func (cs certificates) inValue(v any, place string) {
	switch v := v.(type) {
	case string:
		cs.inText(v, place)
	case []any:
		for _, e := range v {
			cs.inValue(e, place)
		}
	case map[string]any:
		for key, e := range v {
			if key != "kubectl.kubernetes.io/last-applied-configuration" {
				cs.inValue(e, place)
			}
		}
	}
}

func (cs certificates) inText(s, place string) {
	if strings.HasPrefix(s, base64Start) {
		if plain, err := base64.StdEncoding.DecodeString(s); err == nil {
			s = string(plain)
		}
	}
	for rest := []byte(s); bytes.Contains(rest, []byte(pemStart)); {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return
		}
		if block.Type == "CERTIFICATE" {
			cs.add(block.Bytes, place)
		}
	}
}

func (cs certificates) add(der []byte, place string) {
	sum := sha256.Sum256(der)
	if c := cs[sum]; c != nil {
		c.Places++
		c.Place = min(c.Place, place)
		return
	}
	x, err := x509.ParseCertificate(der)
	if err != nil || len(cs) >= maxCertificates {
		return
	}
	c := &Certificate{
		Subject: x.Subject.String(), Issuer: x.Issuer.String(), Names: x.DNSNames, NotBefore: x.NotBefore.UTC(), NotAfter: x.NotAfter.UTC(),
		CA: x.IsCA, Fingerprint: hex.EncodeToString(sum[:]), Place: place, Places: 1,
	}
	for _, ip := range x.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	cs[sum] = c
}

func (cs certificates) merge(other certificates) {
	for sum, o := range other {
		if c := cs[sum]; c != nil {
			c.Places += o.Places
			c.Place = min(c.Place, o.Place)
		} else {
			cs[sum] = o
		}
	}
}

// list sorts them by the time of their end.
func (cs certificates) list() []Certificate {
	all := []Certificate{}
	for _, c := range cs {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Certificate) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.Place, b.Place), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return all
}
