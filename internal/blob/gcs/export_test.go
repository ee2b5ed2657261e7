// SPDX-License-Identifier: Apache-2.0

package gcs

import "golang.org/x/oauth2"

// SignAt has b ask the service at url, and not Google's, to sign.
func (b *Bucket) SignAt(url string) { b.signer.service = url }

// TokenOf gives b a token, as the metadata server of Google's machines would.
func TokenOf(b *Bucket, token string) {
	b.identity.tokens = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})
}
