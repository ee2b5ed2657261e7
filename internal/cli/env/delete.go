// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/store"
)

// deleteOptions are the flags of the delete commands.
type deleteOptions struct {
	confirm, all bool
	selector     string
}

func (o *deleteOptions) addFlags(f *pflag.FlagSet, what string) {
	f.BoolVar(&o.confirm, "confirm", false, "Do not ask.")
	f.BoolVar(&o.all, "all", false, "Delete all "+what+".")
	f.StringVarP(&o.selector, "selector", "l", "", "Delete the "+what+" that match this label selector.")
}

// check wants exactly one of names, --all and --selector.
func (o *deleteOptions) check(names []string) error {
	given := 0
	for _, yes := range []bool{len(names) > 0, o.all, o.selector != ""} {
		if yes {
			given++
		}
	}
	if given != 1 {
		return Usagef("give names, --all or --selector: exactly one of the three")
	}
	return nil
}

// deleteAll deletes what the names stand for, after asking unless told not to. It goes on after an error.
func (e *Env) deleteAll(ctx context.Context, s *store.Store, sort store.Sort, names []string, confirmed bool) error {
	if !confirmed {
		e.Say("This deletes from %s: %s", s, strings.Join(names, ", "))
		if !e.confirm() {
			e.Say("Nothing was deleted.")
			return Ended{Code: ExitFailed}
		}
	}
	var errs []error
	for _, name := range names {
		if err := s.Delete(ctx, sort, name); err != nil {
			errs = append(errs, err)
			continue
		}
		if _, err := fmt.Fprintf(e.Out, "%s%s %q deleted.\n", strings.ToUpper(string(sort[:1])), sort[1:], name); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// confirm asks for a yes. No answer, as from a closed input, is a no.
func (e *Env) confirm() bool {
	fmt.Fprint(e.Err, "Are you sure you want to continue (Y/N)? ")
	answer, _ := bufio.NewReader(e.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}
