// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/format"

	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// TestLocked: a repository whose format kopia's program is changing is not waited for, neither to be read nor to be written.
func TestLocked(t *testing.T) {
	b := mem.New()
	// An older format: nothing else can be upgraded.
	must(t, repo.Initialize(t.Context(), &storage{near: vault.Near{Bucket: b}, prefix: Prefix("files"), create: true}, &repo.NewRepositoryOptions{
		BlockFormat: format.ContentFormat{Hash: newHash, MutableParameters: format.MutableParameters{Version: format.FormatVersion2}}, ObjectFormat: format.ObjectFormat{Splitter: newSplitter},
	}, password))
	r, err := OpenWrite(t.Context(), b, Prefix("files"), Options{Password: password})
	must(t, err)
	defer r.Close(context.WithoutCancel(t.Context()))
	err = repo.DirectWriteSession(t.Context(), r.rep.(repo.DirectRepository), repo.WriteSessionOptions{Purpose: "lock"}, func(ctx context.Context, w repo.DirectRepositoryWriter) error {
		_, err := w.FormatManager().SetUpgradeLockIntent(ctx, format.UpgradeLockIntent{
			OwnerID: "somebody", CreationTime: time.Now().Add(-time.Hour), IODrainTimeout: time.Minute, StatusPollInterval: time.Second, Message: "upgrade", MaxPermittedClockDrift: time.Second,
		})
		return err
	})
	must(t, err)
	for how, open := range map[string]func() (*Repository, error){
		"read": func() (*Repository, error) { return Open(t.Context(), b, Prefix("files"), Options{Password: password}) },
		"write": func() (*Repository, error) {
			return OpenWrite(t.Context(), b, Prefix("files"), Options{Password: password})
		},
	} {
		if _, err := open(); !fail.Is(err, fail.Busy) || !strings.Contains(err.Error(), "its format is being upgraded by kopia: wait until that has ended") {
			t.Errorf("%s: %v: %v", how, fail.Of(err), err)
		}
	}
}

// TestVanished: a file that goes after its folder was listed is named, and nothing else is lost.
func TestVanished(t *testing.T) {
	r := created(t, mem.New())
	source := t.TempDir()
	must(t, os.WriteFile(filepath.Join(source, "big"), make([]byte, 12<<20), 0o600))
	for _, name := range []string{"last", "stays"} {
		must(t, os.WriteFile(filepath.Join(source, name), []byte(name), 0o600))
	}
	once := sync.OnceFunc(func() { must(t, os.Remove(filepath.Join(source, "last"))) })
	saved, err := r.Save(t.Context(), source, someVolume, vault.SaveOptions{Parallel: 1, Progress: func(int64, int64) { once() }}) // "big" is read first
	must(t, err)
	if saved.Failed != 1 || saved.Lost != 0 || saved.Snapshot.Files != 2 || saved.Problems[0].Path != "last" || !saved.Problems[0].Changing || saved.Problems[0].Text != "it vanished while the volume was saved" {
		t.Errorf("%+v", saved)
	}
}
