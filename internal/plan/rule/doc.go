// SPDX-License-Identifier: Apache-2.0

// Package rule knows what single kinds need when they are brought back: what a plan must know of an object
// (Inspect → Traits), what has to be taken out of it or reset before it can be created (Transform), and what the server
// has decided since and an update must leave alone (Adopt).
//
// One small file a kind. Everything here is pure: an object and an Env in, an object out. The rules are those of
// Velero 1.18 (its restore pipeline and its built-in restore item actions); where ours differ, the code says why.
//
// The package does not order objects, does not select them and knows nothing of other objects than the one it is given.
package rule
