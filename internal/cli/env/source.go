// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// Stored is how a store has the things of a Noun.
type Stored[T metav1.Object] struct {
	Sort store.Sort
	Logs store.File
	// Names lists all, Read reads one by its name.
	Names func(context.Context, *store.Store) ([]string, error)
	Read  func(context.Context, *store.Store, string) (T, error)
}

// Served is how a server has the things of a Noun: as custom resources.
type Served[T metav1.Object] struct {
	List func(ctx context.Context, c velero.Client, selector string) ([]T, error)
	Get  func(ctx context.Context, c velero.Client, name string) (T, error)
	// Remove asks for the deletion of one, and returns what is said of it.
	Remove func(ctx context.Context, c velero.Client, item T) (string, error)
}

// Place is where what belongs to a thing can be read.
type Place struct {
	Files
	Server  *velero.Client // nil: a store
	Program string         // what this program was called as, for hints
	say     func(format string, args ...any)
}

// source is where commands find things: a store, or a server.
type source[T metav1.Object] interface {
	names(context.Context) ([]string, error)
	// load reads the named ones, or all of them.
	load(ctx context.Context, names []string, selector string) ([]T, error)
	place() Place
	// doomed are those that a deletion without names is about.
	doomed(ctx context.Context, names []string, selector string) ([]T, error)
	// remove deletes one, and returns what is said of it.
	remove(ctx context.Context, name string) (string, error)
	String() string
}

// open opens the store, if one is named, or else the server.
func (n Noun[T]) open(ctx context.Context, e *Env) (source[T], error) {
	if e.StoreURL == "" {
		c, err := e.OpenServer()
		if err != nil {
			return nil, err
		}
		return served[T]{n, c, e}, nil
	}
	if n.Stored == nil {
		return nil, Usagef("a store has no %ss, only a server has: leave out --store, or HOZON_STORE", n.Word)
	}
	s, err := e.OpenStore(ctx, false)
	if err != nil {
		return nil, err
	}
	return stored[T]{n, s, e}, nil
}

type stored[T metav1.Object] struct {
	noun  Noun[T]
	store *store.Store
	env   *Env
}

func (s stored[T]) String() string { return s.store.String() }
func (s stored[T]) place() Place   { return Place{Files: s.store, Program: s.env.Name} }

func (s stored[T]) names(ctx context.Context) ([]string, error) {
	return s.noun.Stored.Names(ctx, s.store)
}

// load: among all, one that cannot be read is named on Err and left out.
func (s stored[T]) load(ctx context.Context, names []string, selector string) ([]T, error) {
	match, err := labels.Parse(selector)
	if err != nil {
		return nil, Usagef("--selector %q: %w", selector, err)
	}
	all := len(names) == 0
	if all {
		if names, err = s.names(ctx); err != nil {
			return nil, err
		}
	}
	items := []T{}
	for _, name := range names {
		item, err := s.noun.Stored.Read(ctx, s.store, name)
		switch {
		case err == nil && match.Matches(labels.Set(item.GetLabels())):
			items = append(items, item)
		case err == nil:
		case all && (fail.Is(err, fail.Corrupt) || fail.Is(err, fail.NotFound)):
			s.env.Say("Left out: %v", err)
		default:
			return nil, err
		}
	}
	SortByRun(items, T.GetName)
	return items, nil
}

// doomed leaves named ones to remove: what cannot be read can be deleted.
func (s stored[T]) doomed(ctx context.Context, names []string, selector string) ([]T, error) {
	if err := s.env.Sweep(ctx, s.store); err != nil || len(names) > 0 {
		return nil, err
	}
	return s.load(ctx, nil, selector)
}

func (s stored[T]) remove(ctx context.Context, name string) (string, error) {
	if err := s.store.Delete(ctx, s.noun.Stored.Sort, name); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %q deleted.", s.noun.Kind, name), nil
}

type served[T metav1.Object] struct {
	noun   Noun[T]
	client velero.Client
	env    *Env
}

func (s served[T]) String() string {
	return fmt.Sprintf("namespace %s of %s", s.client.Namespace, s.client.Cluster.Server())
}

func (s served[T]) place() Place {
	return Place{Files: downloaded{s.client, s.env}, Server: &s.client, Program: s.env.Name, say: s.env.Say}
}

func (s served[T]) names(ctx context.Context) ([]string, error) {
	items, err := s.noun.Served.List(ctx, s.client, "")
	var names []string
	for _, item := range items {
		names = append(names, item.GetName())
	}
	return names, err
}

func (s served[T]) load(ctx context.Context, names []string, selector string) ([]T, error) {
	if len(names) == 0 {
		items, err := s.noun.Served.List(ctx, s.client, selector)
		SortByRun(items, T.GetName)
		return items, err
	}
	items := []T{}
	for _, name := range names {
		item, err := s.noun.Served.Get(ctx, s.client, name)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func (s served[T]) doomed(ctx context.Context, names []string, selector string) ([]T, error) {
	if len(names) > 0 {
		return nil, nil
	}
	return s.load(ctx, nil, selector)
}

func (s served[T]) remove(ctx context.Context, name string) (string, error) {
	item, err := s.noun.Served.Get(ctx, s.client, name)
	if err != nil {
		return "", err
	}
	return s.noun.Served.Remove(ctx, s.client, item)
}
