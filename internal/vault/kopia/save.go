// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"runtime"
	"time"

	kopiafs "github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/compression"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
	"github.com/kopia/kopia/snapshot/policy"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// How files are kept: doc/decision/0014-vault.md has the measurements.
const (
	dynamic            = "DYNAMIC-4M-BUZHASH"
	neverSplit         = 2 << 20    // dynamic makes no pieces that are smaller
	cheap              = "FIXED-4M" // which leaves such files whole too, without looking at their bytes
	fileCompressor     = compression.Name("s2-default")
	metadataCompressor = compression.Name("zstd-fastest")

	leastCompressed = 1 << 10  // files below are kept as they are
	probeSize       = 64 << 10 // bytes that show whether it is worth it to compress a file
)

// What Velero writes into the manifests of its snapshots, and looks for.
const (
	requestorTag = "snapshot-requester"
	uploaderTag  = "snapshot-uploader"
	uploader     = "kopia"
	description  = "Kopia Uploader"
	pin          = "velero-pin"
)

// Sidecars: see sidecar.go.
const (
	sidecarTag  = "hozon-sidecar" // names the manifest of the sidecar
	sidecarNone = "none"          // nothing had to be kept in one
	sidecarPath = "hozon/sidecar" // the source of the snapshots that hold them
	sidecarPin  = "hozon-pin"     // keeps kopia's own retention away
	sidecarName = "what kopia's trees cannot hold"
)

// flushEvery is how often what was written so far is made known, so that a run that is killed need not begin from nothing.
const flushEvery = 5 * time.Minute

// maxParallel bounds the files that are read side by side without being told, and with it the memory.
const maxParallel = 8

// sourceOf is Velero's name for what is saved.
func sourceOf(s vault.Source) (snapshot.SourceInfo, map[string]string) {
	requestor := cmp.Or(s.Requestor, vault.SnapshotPodVolume)
	tags := maps.Clone(s.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[requestorTag], tags[uploaderTag] = requestor, uploader
	return snapshot.SourceInfo{UserName: user, Host: host, Path: path.Join(requestor, uploader, s.Namespace, s.Pod, s.Volume)}, tags
}

// Save saves the folder root as a snapshot of source, on top of the latest one of the same source. Names that cannot be read are problems of their own;
// an error means that nothing was recorded. Call it off by ctx.
func (r *Repository) Save(ctx context.Context, root string, source vault.Source, o vault.SaveOptions) (saved vault.Saved, err error) {
	if r.storage.readOnly {
		return saved, fail.Errorf(fail.Denied, "save into %s: it was opened to be read", r.at)
	}
	if o.Parallel <= 0 {
		o.Parallel = min(runtime.GOMAXPROCS(0), maxParallel)
	}
	err = r.session(ctx, "save", func(ctx context.Context, w repo.RepositoryWriter) error {
		info, tags := sourceOf(source)
		s := &session{repository: r, w: w, info: info, tags: tags}
		if err := s.policy(ctx); err != nil {
			return err
		}
		old, err := s.parent(ctx)
		if err != nil {
			return err
		}
		saved, err = s.save(ctx, root, old, o)
		return err
	})
	if err != nil {
		return vault.Saved{}, fmt.Errorf("save %s into %s: %w", root, r.at, err)
	}
	return saved, nil
}

// session writes, and makes it known when all of it is there.
func (r *Repository) session(ctx context.Context, purpose string, f func(context.Context, repo.RepositoryWriter) error) (err error) {
	defer r.guard(&err)
	if err := r.rep.Refresh(ctx); err != nil {
		return damaged(err)
	}
	err = repo.WriteSession(ctx, r.rep, repo.WriteSessionOptions{Purpose: purpose}, f)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// A session saves one source.
type session struct {
	repository *Repository
	w          repo.RepositoryWriter
	info       snapshot.SourceInfo
	tags       map[string]string
}

// parent is the latest complete snapshot of the same source and requestor. One that cannot be read is passed over: everything is read then.
func (s *session) parent(ctx context.Context) (*tree, error) {
	all, err := snapshot.ListSnapshots(ctx, s.w, s.info)
	if err != nil {
		return nil, damaged(err)
	}
	var last *snapshot.Manifest
	for _, m := range all {
		if m.IncompleteReason == "" && m.Tags[requestorTag] == s.tags[requestorTag] && m.Tags[uploaderTag] == uploader &&
			(last == nil || m.StartTime.After(last.StartTime)) {
			last = m
		}
	}
	if last == nil || last.RootEntry == nil || last.RootEntry.Type != snapshot.EntryTypeDirectory {
		return nil, nil
	}
	root := node(last.RootEntry)
	root.Ref = place{last.RootEntry.ObjectID, ""}
	return &tree{repository: s.repository, root: root}, nil
}

// policy keeps kopia's own retention away from what Velero's backups name, in Velero's words. It is written once for each source.
func (s *session) policy(ctx context.Context) error {
	_, err := policy.GetDefinedPolicy(ctx, s.w, s.info)
	if err == nil {
		return nil
	}
	if !errors.Is(err, policy.ErrPolicyNotFound) {
		return damaged(err)
	}
	all, parallel, above, yes := policy.OptionalInt(math.MaxInt32), policy.OptionalInt(runtime.NumCPU()), policy.OptionalInt64(math.MaxInt64), policy.OptionalBool(true)
	return policy.SetPolicy(ctx, s.w, s.info, &policy.Policy{
		RetentionPolicy: policy.RetentionPolicy{
			KeepLatest: &all, KeepAnnual: &all, KeepMonthly: &all, KeepWeekly: &all, KeepDaily: &all, KeepHourly: &all,
		},
		CompressionPolicy:   policy.CompressionPolicy{CompressorName: "none"},
		UploadPolicy:        policy.UploadPolicy{MaxParallelFileReads: &parallel, ParallelUploadAboveSize: &above},
		SchedulingPolicy:    policy.SchedulingPolicy{Manual: true},
		ErrorHandlingPolicy: policy.ErrorHandlingPolicy{IgnoreUnknownTypes: &yes},
	})
}

// record writes the manifest, and that of the sidecar before it.
func (s *session) record(ctx context.Context, m *snapshot.Manifest, extras *extraWriter) error {
	id, size, any, err := extras.finish(ctx)
	if err != nil {
		return err
	}
	m.Source, m.Description, m.Tags, m.Pins = s.info, description, s.tags, []string{pin}
	m.EndTime = kopiafs.UTCTimestampFromTime(s.w.Time())
	m.Tags[sidecarTag] = sidecarNone
	if any {
		side, err := s.sidecar(ctx, m, id, size)
		if err != nil {
			return err
		}
		m.Tags[sidecarTag] = string(side)
	}
	_, err = snapshot.SaveSnapshot(ctx, s.w, m)
	return err
}

func (s *session) sidecar(ctx context.Context, m *snapshot.Manifest, id object.ID, size int64) (manifest.ID, error) {
	return snapshot.SaveSnapshot(ctx, s.w, &snapshot.Manifest{
		Source:      snapshot.SourceInfo{UserName: user, Host: host, Path: sidecarPath},
		Description: sidecarName, StartTime: m.StartTime, EndTime: m.EndTime, Pins: []string{sidecarPin},
		RootEntry: &snapshot.DirEntry{Name: "sidecar", Type: snapshot.EntryTypeFile, Permissions: 0o600, FileSize: size, ModTime: m.EndTime, ObjectID: id},
		Stats:     snapshot.Stats{TotalFileCount: 1, TotalFileSize: size},
	})
}
