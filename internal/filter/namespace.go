// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"slices"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// namespaces is the part of a Filter that is about namespaces.
type namespaces struct {
	include, exclude list
	all              bool

	// Of a backup only:
	included, literals, missing, unmatched, labelled []string
}

func newNamespaces(include, exclude []string) (namespaces, error) {
	in, err := newList(include)
	if err != nil {
		return namespaces{}, err
	}
	ex, err := newList(exclude)
	if err != nil {
		return namespaces{}, err
	}
	n := namespaces{include: in, exclude: ex, all: in.everything() && ex.empty()}
	for _, name := range include {
		if name != "" && !hasWildcard(name) {
			n.literals = append(n.literals, name)
		}
	}
	return n, nil
}

func (n *namespaces) match(name string) bool {
	return !n.exclude.match(name) && !slices.Contains(n.labelled, name) && (n.include.everything() || n.include.match(name))
}

// meet compares the lists with the namespaces that there are.
func (n *namespaces) meet(cluster []Namespace, include []string) error {
	active := 0
	for _, ns := range cluster {
		if ns.Labels[velerov1.LabelExcludeFromBackup] == "true" {
			n.labelled = append(n.labelled, ns.Name)
		}
	}
	slices.Sort(n.labelled)
	whole := n.exclude.empty() && !n.include.empty()
	for _, ns := range cluster {
		if n.match(ns.Name) {
			n.included = append(n.included, ns.Name)
		}
		if ns.Active {
			active++
			whole = whole && n.include.match(ns.Name)
		}
	}
	slices.Sort(n.included)
	n.all = n.all || whole && active > 0
	exists := func(fits func(string) bool) bool {
		return slices.ContainsFunc(cluster, func(ns Namespace) bool { return fits(ns.Name) })
	}
	for _, name := range include {
		one, err := newList([]string{name})
		switch {
		case err != nil:
			return err
		case name == "" || exists(one.match):
		case hasWildcard(name):
			if name != "*" {
				n.unmatched = append(n.unmatched, name)
			}
		default:
			n.missing = append(n.missing, name)
		}
	}
	return nil
}
