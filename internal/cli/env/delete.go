// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// DeleteOptions are the flags of the delete commands.
type DeleteOptions struct {
	Confirm, All bool
	Selector     string
}

// AddFlags registers the flags.
func (o *DeleteOptions) AddFlags(f *pflag.FlagSet, what string) {
	f.BoolVar(&o.Confirm, "confirm", false, "Do not ask.")
	f.BoolVar(&o.All, "all", false, "Delete all "+what+".")
	f.StringVarP(&o.Selector, "selector", "l", "", "Delete the "+what+" that match this label selector.")
}

// Check wants exactly one of names, --all and --selector.
func (o *DeleteOptions) Check(names []string) error {
	given := 0
	for _, yes := range []bool{len(names) > 0, o.All, o.Selector != ""} {
		if yes {
			given++
		}
	}
	if given != 1 {
		return Usagef("give names, --all or --selector: exactly one of the three")
	}
	return nil
}

// DeleteEach removes what the names stand for, after asking unless told not to. It goes on after an error.
func (e *Env) DeleteEach(names []string, confirmed bool, from string, remove func(name string) (string, error)) error {
	if !confirmed {
		e.Say("This deletes from %s: %s", from, strings.Join(names, ", "))
		if !e.Confirm() {
			e.Say("Nothing was deleted.")
			return Ended{Code: ExitFailed}
		}
	}
	var errs []error
	for _, name := range names {
		said, err := remove(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, err := fmt.Fprintln(e.Out, said); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// Confirm asks for a yes. No answer, as from a closed input, is a no.
func (e *Env) Confirm() bool {
	fmt.Fprint(e.Err, "Are you sure you want to continue (Y/N)? ")
	answer, _ := bufio.NewReader(e.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// ConfirmName asks for a name to be typed, for what is not done by a slip.
func (e *Env) ConfirmName(name string) bool {
	fmt.Fprintf(e.Err, "Type %s to go on: ", name)
	answer, _ := bufio.NewReader(e.In).ReadString('\n')
	return strings.TrimSpace(answer) == name
}
