// SPDX-License-Identifier: Apache-2.0

// Package controller makes the resources of velero.io come true: it watches them in one namespace, hands each to an engine, and writes down
// what became of it.
//
// Every controller does the same four things: load, guard, call one engine, write the status once. What takes long runs as a flight (see
// Flights), so that a reconciliation itself is over in milliseconds and the next event about the same object, such as a wish to
// cancel it, is heard at once.
//
// Its nouns: a Site is what all controllers work with; a run is one attempt at a Backup or Restore, and has an id; a flight is a run that
// this process is carrying out.
//
// Invariants:
//   - a run is claimed by an update with the resourceVersion that was read, and its id is checked again before the commit and before the
//     status is written: of two processes that both think they lead, one only gets through;
//   - what is in the bucket wins: a committed file ends the Backup or Restore in the cluster, whatever the process lived to write there;
//   - an object that is final is not touched again, but for labels, for what a verification found (annotations), and for deletion.
//
// It knows neither flags nor processes (package server does), nor how a bucket is reached.
package controller
