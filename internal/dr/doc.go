// SPDX-License-Identifier: Apache-2.0

// Package dr is the engine for the cluster itself: it opens what was saved of a control plane and makes a backup of it.
//
//	file ──► etcd (snapshot, live keys) ──► decode ──┬─► Inspect: what is in there
//	                                                 └─► Read: backup.Source, so that a restore can bring back any of it
//
// Its nouns: an Image is an opened snapshot; an Inventory is what Inspect found in it; a Trouble is a group of keys that cannot be decoded, with one reason.
//
// Invariants: the file is only read, and nothing is unpacked to a disk; memory is the table of keys and some values under way; a key that cannot be
// decoded is listed and does not end the run; a damaged file does.
package dr

import (
	"context"
	"io"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/etcd"
	"hozon.dev/hozon/internal/fail"
)

// Options say how a snapshot is read. The zero value will do for most.
type Options struct {
	Prefixes []string        // the API server's --etcd-prefix, OpenShift has two; none: found out by looking
	Keys     *decode.Keyring // nil: encrypted values are not decoded
}

// Image is an opened snapshot of a cluster.
type Image struct {
	Prefixes []string // with a slash at the end

	snapshot *etcd.Snapshot
	live     *etcd.Live
	decoder  *decode.Decoder
}

// Open checks the snapshot's hash, if it has one, and reads which keys are alive. r is used as long as the Image is.
func Open(ctx context.Context, r io.ReaderAt, size int64, o Options) (*Image, error) {
	s, err := etcd.Open(r, size)
	if err != nil {
		return nil, err
	}
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	return read(ctx, s, o)
}

// read is Open for a snapshot whose hash was checked.
func read(ctx context.Context, s *etcd.Snapshot, o Options) (*Image, error) {
	i := &Image{snapshot: s}
	var err error
	if i.live, err = s.Live(ctx); err != nil {
		return nil, err
	}
	if i.Prefixes, err = prefixes(i.live, o.Prefixes); err != nil {
		return nil, err
	}
	i.decoder, err = decode.New(o.Keys)
	return i, err
}

// Hashed says whether the snapshot ends with its hash. One that does not was copied from a member's folder; whether it is whole is only known from
// its pages.
func (i *Image) Hashed() bool { return i.snapshot.Hashed }

// Revision is the resourceVersion that all objects are read at.
func (i *Image) Revision() int64 { return i.live.Revision }

// marks are objects that every cluster has; what precedes them is the prefix.
var marks = []string{"/namespaces/default", "/namespaces/kube-system"}

// openshift is the second prefix of an OpenShift cluster, beside /kubernetes.io.
const openshift = "/openshift.io/"

// prefixes are the ones that were asked for, or those found.
func prefixes(live *etcd.Live, asked []string) ([]string, error) {
	var found []string
	for _, p := range asked {
		p = "/" + strings.Trim(p, "/") + "/"
		if !live.HasPrefix(p) {
			return nil, fail.Errorf(fail.Invalid, "no key begins with the prefix %q%s", p, hint(candidates(live)))
		}
		found = append(found, p)
	}
	if len(found) > 0 {
		return found, nil
	}
	found = candidates(live)
	switch {
	case len(found) == 0:
		return nil, fail.Errorf(fail.Invalid, "no key ends in %s: this is no Kubernetes cluster's etcd, or it lacks its namespaces; name the API server's prefix with --etcd-prefix", strings.Join(marks, " or "))
	case len(found) > 1:
		return nil, fail.Errorf(fail.Invalid, "there is more than one cluster in it%s", hint(found))
	}
	if live.HasPrefix(openshift) {
		found = append(found, openshift)
	}
	return found, nil
}

func hint(found []string) string {
	if len(found) == 0 {
		return ""
	}
	return "; use --etcd-prefix with one of " + strings.Join(found[:min(5, len(found))], ", ")
}

// candidates are the prefixes under which there seems to be a cluster.
func candidates(live *etcd.Live) []string {
	var found []string
	live.Names(func(key string) bool {
		for _, m := range marks {
			if p, ok := strings.CutSuffix(key, m); ok && !slices.Contains(found, p+"/") {
				found = append(found, p+"/")
			}
		}
		return true
	})
	slices.Sort(found)
	// A resource of somebody's own may be called namespaces, too: only the outermost count.
	return slices.DeleteFunc(found, func(p string) bool {
		return slices.ContainsFunc(found, func(outer string) bool { return outer != p && strings.HasPrefix(p, outer) })
	})
}

// below splits a key of one of the prefixes.
func (i *Image) below(key string) (rest string, ok bool) {
	for _, p := range i.Prefixes {
		if rest, ok = strings.CutPrefix(key, p); ok {
			return rest, true
		}
	}
	return "", false
}
