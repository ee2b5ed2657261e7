// SPDX-License-Identifier: Apache-2.0

package env

import (
	"errors"
	"fmt"

	"hozon.dev/hozon/internal/fail"
)

// Exit codes of hozon. Called by the name velero, the program knows only 0 and 1, as Velero does.
const (
	ExitOK      = 0
	ExitFailed  = 1 // nothing, or not what was asked for, was done
	ExitUsage   = 2 // the command line, or a name or filter in it, cannot be used
	ExitPartial = 3 // done, but some objects failed (PartiallyFailed)
)

// ExitHelp is the paragraph of --help on exit codes.
const ExitHelp = `Exit codes:
  0  done (Completed)
  1  failed
  2  the command line cannot be used
  3  done, but some objects failed (PartiallyFailed)`

type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// UsageError marks an error of the command line.
func UsageError(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// Usagef is an error of the command line.
func Usagef(format string, args ...any) error { return UsageError(fmt.Errorf(format, args...)) }

// Ended is a run that came to its end, was reported, and whose exit code says how it went. It prints nothing.
type Ended struct{ Code int }

func (e Ended) Error() string { return fmt.Sprintf("ended with code %d", e.Code) }

// Code is the exit code for an error.
func (e *Env) Code(err error) int {
	code := ExitFailed
	var usage usageError
	var ended Ended
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &ended):
		code = ended.Code
	case errors.As(err, &usage), fail.Is(err, fail.Invalid):
		code = ExitUsage
	}
	if e.Name == "velero" && code != ExitOK {
		if code == ExitPartial { // Velero's --wait ends with 0 once the server is done
			return ExitOK
		}
		return ExitFailed
	}
	return code
}
