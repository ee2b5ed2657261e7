// SPDX-License-Identifier: Apache-2.0

// Package deploy holds the manifests that an installation is made of, so that the program, the chart and the
// documents use the same files. crd/ is generated from the types in api/ by `make gen`; nothing here decides anything.
package deploy

import "embed"

// CRDs has crd/*.yaml: one CustomResourceDefinition in each file, thirteen in all.
//
//go:embed crd/*.yaml
var CRDs embed.FS
