// SPDX-License-Identifier: Apache-2.0

// Package volume reads the data of a backup's volumes back: it joins what a backup notes of them with the repositories that hold their bytes.
//
// A Volume is one volume of a backup, as its PodVolumeBackup, or what Velero's data mover noted, has it. A Place names one as people do. A Reader
// opens the repositories of a store, each once.
//
// Invariants: nothing is written into the store. Where a backup says that its repository is elsewhere (restic's identifiers name endpoints that may be
// gone for years), the store in which the backup lies counts. Passwords are tried and never shown.
//
// It writes no files: internal/transfer does. Node agents save and fill volumes; packages order, save and fill below this one ask them to, for the server.
package volume
