// SPDX-License-Identifier: Apache-2.0

// Package velero is the way to a server through Velero's custom resources: whoever can write them can have backups made, and whoever can
// read them can see how they went. It works the same with our server and with Velero's.
//
// A Client names the cluster and the server's namespace. A Kind is one of the custom resources; its methods are the verbs. Download reads
// a file of a backup or restore by the server's leave.
//
// Invariants: an error names the object, and one about a cluster without these kinds says how to get them. Nothing is cached.
//
// It does not decide anything: what a Backup means is the server's business.
package velero

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// fieldManager is what our writes are recorded under.
const fieldManager = "hozon"

// Client is a server, by its cluster and namespace.
type Client struct {
	Cluster   *cluster.Client
	Namespace string
}

// Kind is one of the custom resources: T is its Go type.
type Kind[T any] struct {
	Kind     string // "Backup"
	Resource string // "backups"
}

// The kinds that people and the command line work with.
var (
	Backups           = Kind[velerov1.Backup]{"Backup", "backups"}
	Restores          = Kind[velerov1.Restore]{"Restore", "restores"}
	Schedules         = Kind[velerov1.Schedule]{"Schedule", "schedules"}
	StorageLocations  = Kind[velerov1.BackupStorageLocation]{"BackupStorageLocation", "backupstoragelocations"}
	SnapshotLocations = Kind[velerov1.VolumeSnapshotLocation]{"VolumeSnapshotLocation", "volumesnapshotlocations"}
	Repositories      = Kind[velerov1.BackupRepository]{"BackupRepository", "backuprepositories"}
	VolumeBackups     = Kind[velerov1.PodVolumeBackup]{"PodVolumeBackup", "podvolumebackups"}
	VolumeRestores    = Kind[velerov1.PodVolumeRestore]{"PodVolumeRestore", "podvolumerestores"}
	DeleteRequests    = Kind[velerov1.DeleteBackupRequest]{"DeleteBackupRequest", "deletebackuprequests"}
	DownloadRequests  = Kind[velerov1.DownloadRequest]{"DownloadRequest", "downloadrequests"}
	StatusRequests    = Kind[velerov1.ServerStatusRequest]{"ServerStatusRequest", "serverstatusrequests"}
)

func (k Kind[T]) typ() object.Type {
	return object.Type{Group: velerov1.Group, Version: "v1", Resource: k.Resource, Kind: k.Kind, Namespaced: true}
}

// TypeMeta is what objects of the kind say of themselves.
func (k Kind[T]) TypeMeta() metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: k.Kind}
}

// List returns those that match the label selector, sorted by name.
func (k Kind[T]) List(ctx context.Context, c Client, selector string) ([]*T, error) {
	body, err := c.Cluster.List(ctx, k.typ(), cluster.ListOptions{Namespace: c.Namespace, LabelSelector: selector})
	if err != nil {
		return nil, k.explain(c, err)
	}
	defer body.Close()
	var list struct{ Items []*T }
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return nil, fmt.Errorf("list %s in namespace %s: %w", k.Resource, c.Namespace, err)
	}
	slices.SortFunc(list.Items, func(a, b *T) int { return strings.Compare(meta(a).GetName(), meta(b).GetName()) })
	return list.Items, nil
}

// meta is the metadata of an object of one of the kinds: each of them has it.
func meta(item any) metav1.Object { return item.(metav1.Object) }

// Get returns one.
func (k Kind[T]) Get(ctx context.Context, c Client, name string) (*T, error) {
	body, err := c.Cluster.Get(ctx, k.typ(), c.Namespace, name)
	return k.decode(c, name, body, err)
}

// Patch changes one by a JSON merge patch, and returns it as stored.
func (k Kind[T]) Patch(ctx context.Context, c Client, name string, merge any) (*T, error) {
	data, err := json.Marshal(merge)
	if err != nil {
		return nil, err
	}
	body, err := c.Cluster.Patch(ctx, k.typ(), c.Namespace, name, types.MergePatchType, data, cluster.WriteOptions{FieldManager: fieldManager})
	return k.decode(c, name, body, err)
}

// Delete deletes one. It may live on until its finalizers are done.
func (k Kind[T]) Delete(ctx context.Context, c Client, name string) error {
	return k.explain(c, c.Cluster.Delete(ctx, k.typ(), c.Namespace, name, cluster.DeleteOptions{}))
}

func (k Kind[T]) decode(c Client, name string, body []byte, err error) (*T, error) {
	if err != nil {
		return nil, k.explain(c, err)
	}
	item := new(T)
	if err := json.Unmarshal(body, item); err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", k.Kind, c.Namespace, name, err)
	}
	return item, nil
}

// unknownResource is how every API server answers for a kind that it does not serve.
const unknownResource = "the server could not find the requested resource"

// explain gives the way out where the cluster has no such kind at all.
func (k Kind[T]) explain(c Client, err error) error {
	var status *apierrors.StatusError
	if !fail.Is(err, fail.NotFound) || !errors.As(err, &status) {
		return err
	}
	if !strings.HasPrefix(status.ErrStatus.Message, unknownResource) {
		return err
	}
	return fail.Errorf(fail.NotFound, "the cluster %s does not know %s.%s: nothing is installed there; install it, or work without a server with --store URL",
		c.Cluster.Server(), k.Resource, velerov1.Group)
}

// lookAgain is how long to wait before a watch that ended at once is opened anew.
const lookAgain = 200 * time.Millisecond

// Follow tells fn of each that matches the label selector, and then of each change, until fn says that it is enough (nil is returned) or ctx ends.
// gone says that it was deleted; it is then as it was last.
func (k Kind[T]) Follow(ctx context.Context, c Client, selector string, fn func(item *T, gone bool) (enough bool)) error {
	var bad error
	err := c.Cluster.Follow(ctx, k.typ(), c.Namespace, selector, func(e cluster.Event) bool {
		item, err := k.decode(c, "of an event", e.Object, nil)
		if err != nil {
			bad = err
			return true
		}
		return fn(item, e.Type == "DELETED")
	})
	if err != nil {
		return k.explain(c, err)
	}
	return bad
}

// Until waits until done is true of one, and returns it as it is then. done is called with each state that is seen, the present one first.
// An object that is deleted meanwhile is fail.NotFound.
func (k Kind[T]) Until(ctx context.Context, c Client, name string, done func(*T) bool) (*T, error) {
	for {
		item, err := k.Get(ctx, c, name)
		if err != nil || done(item) {
			return item, err
		}
		item, err = k.watch(ctx, c, name, meta(item).GetResourceVersion(), done)
		if item != nil || err != nil {
			return item, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s %s/%s: %w", k.Kind, c.Namespace, name, context.Cause(ctx))
		case <-time.After(lookAgain):
		}
	}
}

// watch returns nothing when the watch ends before its time.
func (k Kind[T]) watch(ctx context.Context, c Client, name, from string, done func(*T) bool) (*T, error) {
	w, err := c.Cluster.Watch(ctx, k.typ(), c.Namespace, from, cluster.WatchOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, k.passing(ctx, c, err)
	}
	defer w.Close()
	for {
		event, err := w.Next()
		if err != nil {
			return nil, k.passing(ctx, c, err)
		}
		if event.Type == "DELETED" {
			return nil, fail.Errorf(fail.NotFound, "%s %s/%s was deleted", k.Kind, c.Namespace, name)
		}
		item, err := k.decode(c, name, event.Object, nil)
		if err != nil || done(item) {
			return item, err
		}
	}
}

// passing leaves out the errors after which looking again is right.
func (k Kind[T]) passing(ctx context.Context, c Client, err error) error {
	if ctx.Err() == nil && (errors.Is(err, io.EOF) || errors.Is(err, cluster.ErrExpired) || fail.Is(err, fail.Transient)) {
		return nil
	}
	return k.explain(c, err)
}
