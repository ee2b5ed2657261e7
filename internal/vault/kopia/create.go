// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kopia/kopia/repo"
	kopia "github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/maintenance"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// What new repositories are made with: doc/decision/0014-vault.md has the measurements. All of it is standard kopia.
const (
	newHash     = "BLAKE3-256-128"
	newSplitter = dynamic
)

// FullInterval is how often new repositories are swept whole: Velero's eagerGC. What was forgotten is gone after the second time.
const FullInterval = 6 * time.Hour

// veleroBlob is by what Velero knows that a repository was made whole.
const veleroBlob kopia.ID = "udmrepo.Repository"

// abandoned is the age of what somebody left who was stopped while he made a repository.
const abandoned = time.Minute

// Create makes a repository below prefix, as Velero does. A repository that Velero began and did not end is completed. fail.Exists if there is one.
func Create(ctx context.Context, b blob.Bucket, prefix string, o Options) error {
	s := &storage{near: vault.Near{Bucket: b}, prefix: prefix, create: true}
	if err := s.make(ctx, o); err != nil {
		return fmt.Errorf("create %s: %w", s, err)
	}
	return nil
}

func (s *storage) make(ctx context.Context, o Options) error {
	if o.Password == "" {
		return fail.Errorf(fail.Invalid, "the password is empty")
	}
	begun, err := s.begun(ctx)
	if err != nil {
		return err
	}
	if !begun {
		err := repo.Initialize(ctx, s, &repo.NewRepositoryOptions{
			BlockFormat: format.ContentFormat{Hash: newHash}, ObjectFormat: format.ObjectFormat{Splitter: newSplitter},
		}, o.Password)
		if err != nil {
			return err
		}
	}
	return s.complete(ctx, o)
}

// begun looks at what is there: nothing, a repository that is not complete (true), or a reason not to make one.
func (s *storage) begun(ctx context.Context) (bool, error) {
	found := map[kopia.ID]kopia.Metadata{}
	more := errors.New("more")
	err := s.ListBlobs(ctx, "", func(m kopia.Metadata) error {
		found[m.BlobID] = m
		if len(found) > 8 {
			return more
		}
		return nil
	})
	if err != nil && !errors.Is(err, more) {
		return false, err
	}
	repository, err := s.has(ctx, format.KopiaRepositoryBlobID)
	if err != nil {
		return false, err
	}
	if repository {
		complete, err := s.has(ctx, veleroBlob)
		if err == nil && complete {
			err = fail.Errorf(fail.Exists, "there is one already")
		}
		return true, err
	}
	if left, ok := found[format.KopiaBlobCfgBlobID]; ok && len(found) == 1 && time.Since(left.Timestamp) > abandoned {
		return false, s.near.Bucket.Delete(ctx, s.key(left.BlobID))
	}
	if len(found) > 0 {
		return false, fail.Errorf(fail.Corrupt, "%s is missing, but there are other objects of a repository: bring it back from a copy of the bucket, or remove "+
			"everything below %s", format.KopiaRepositoryBlobID, s.prefix)
	}
	return false, nil
}

func (s *storage) has(ctx context.Context, id kopia.ID) (bool, error) {
	_, err := s.GetMetadata(ctx, id)
	if fail.Is(err, fail.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// complete says who maintains the repository, and then what Velero looks for.
func (s *storage) complete(ctx context.Context, o Options) error {
	r, err := open(ctx, &storage{near: vault.Near{Bucket: s.near.Bucket}, prefix: s.prefix, now: s.now}, o)
	if err != nil {
		return err
	}
	err = repo.WriteSession(ctx, r.rep, repo.WriteSessionOptions{Purpose: "create"}, func(ctx context.Context, w repo.RepositoryWriter) error {
		p := maintenance.DefaultParams()
		p.Owner, p.FullCycle.Interval = user+"@"+host, FullInterval
		return maintenance.SetParams(ctx, w, &p)
	})
	if err = errors.Join(err, r.Close(ctx)); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := vault.Fetch(ctx, s.near.Bucket, s.key(format.KopiaRepositoryBlobID), 0, 1<<20, &out); err != nil {
		return err
	}
	j, err := format.ParseKopiaRepositoryJSON(out.Bytes())
	if err != nil {
		return fail.As(fail.Corrupt, err)
	}
	mark, err := json.Marshal(struct {
		UniqueID []byte `json:"uniqueID"`
	}{j.UniqueID})
	if err != nil {
		return err
	}
	_, err = s.near.Bucket.Put(ctx, s.key(veleroBlob), bytes.NewReader(mark), blob.PutOptions{})
	return err
}
