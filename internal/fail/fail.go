// SPDX-License-Identifier: Apache-2.0

// Package fail gives errors a kind: what the caller can do about them.
//
// The set of kinds is closed. A kind is attached once, by the code that knows the fact (a
// driver, an API call, a reader), and read in three tables: whether to try again, the
// exit code, the HTTP status. Everything in between wraps with %w and adds the name of the thing.
package fail

import (
	"errors"
	"fmt"
)

// Kind says what an error means to the caller.
type Kind uint8

const (
	Unknown     Kind = iota // nothing is known; treated as final
	NotFound                // the named thing does not exist
	Exists                  // the named thing exists already
	Denied                  // credentials are missing, wrong or not sufficient
	Invalid                 // the request is wrong and stays wrong until somebody changes it
	Corrupt                 // stored bytes are not what was written; names file and offset; never retried
	Busy                    // somebody else holds the thing; later it may work
	Transient               // a passing fault; the same call may work when repeated
	Unsupported             // this side cannot do it, whatever the input
)

var names = [...]string{"unknown", "not found", "exists", "denied", "invalid", "corrupt", "busy", "transient", "unsupported"}

func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return names[Unknown]
}

type kinded struct {
	kind Kind
	err  error
}

func (e *kinded) Error() string { return e.err.Error() }
func (e *kinded) Unwrap() error { return e.err }

// Errorf is fmt.Errorf with a kind. The kind is not part of the text.
func Errorf(kind Kind, format string, args ...any) error {
	return &kinded{kind, fmt.Errorf(format, args...)}
}

// As returns err with its kind set to kind; nil stays nil.
func As(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &kinded{kind, err}
}

// Of returns the outermost kind attached to err, or Unknown.
func Of(err error) Kind {
	var k *kinded
	if errors.As(err, &k) {
		return k.kind
	}
	return Unknown
}

// Is reports whether err has the kind.
func Is(err error, kind Kind) bool { return err != nil && Of(err) == kind }
