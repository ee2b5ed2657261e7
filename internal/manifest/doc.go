// SPDX-License-Identifier: Apache-2.0

// Package manifest turns the state of an object into what somebody would have written to get it, and back into bytes that people read.
//
// Its nouns: Clean takes out of an object what the server set, counted, allocated or filled in as a default (the tables in default.go are the
// whole list); a Note is something in an object that another cluster may not have or may not like, with its field; a Document is one manifest of a
// file, with its line; Path is where an object lies in a tree of manifests.
//
// Invariants:
//   - what Clean leaves, applied to an empty API server, becomes an object of which Clean leaves the same (a test holds this against a real one);
//   - a field is left out only if the server would fill in exactly the value that is there;
//   - Encode is a function of the object alone, so that equal states are equal bytes, in every version of every library.
//
// It is pure: no network, no disk, no clock. It does not decide which objects are exported (package export does).
package manifest
