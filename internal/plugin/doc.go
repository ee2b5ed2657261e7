// SPDX-License-Identifier: Apache-2.0

// Package plugin runs Velero's plugins: programs in a folder that say what they can do, and do it when they are called over gRPC (contract:
// plugins; the process side is hashicorp/go-plugin, as there). Of the kinds that there are it knows two, ObjectStore and VolumeSnapshotter.
//
// Its nouns: a Folder holds programs; a Plugin is one thing that a program can do, with a kind and a name; a Process is a program that runs when it
// is called; ObjectStore and Snapshotter are one plugin with its configuration.
//
// Invariants:
//   - a program that does not answer, or says what cannot be, spoils nobody else's calls: the error names the program;
//   - a program that died is started anew and gets its configuration again, before the next call, ten times at most in a row; a call that it died in
//     fails as fail.Transient, unless asking again changes nothing: then it is asked again;
//   - a program that nobody has called for a while is stopped, and so is every one when its context ends;
//   - a configuration belongs to one Process alone: programs keep one of each name.
//
// It knows neither buckets nor volumes: what calls mean is for those who call.
package plugin
