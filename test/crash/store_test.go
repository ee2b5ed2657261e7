// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/blob/faulty"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
)

// site is a world and a bucket for its backups.
type site struct {
	*world
	bucket blob.Bucket
	now    time.Time // the clock of the commands
}

// quiet hears nothing.
type quiet struct{}

func (quiet) Step(string)    {}
func (quiet) Items(int, int) {}

// open opens the store as every command does.
func (s *site) open(ctx context.Context, b blob.Bucket) (*store.Store, error) {
	st, err := store.Open(ctx, b)
	if err == nil {
		st.Now = func() time.Time { return s.now }
	}
	return st, err
}

// backup does what `hozon backup create` does.
func (s *site) backup(ctx context.Context, b blob.Bucket, name string) error {
	st, err := s.open(ctx, b)
	if err != nil {
		return err
	}
	if _, err := st.Sweep(ctx); err != nil {
		return err
	}
	engine := backup.Engine{Cluster: s.client, Store: st, Now: time.Now, Tool: "crash", Observe: quiet{}}
	asked := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "velero"},
		Spec: velerov1.BackupSpec{
			IncludedNamespaces: []string{s.namespace}, // few kinds: there is a lot of this to be done
			IncludedResources:  []string{"configmaps", "secrets", "serviceaccounts", "services", "deployments"},
		},
	}
	_, err = engine.Run(ctx, asked, backup.Options{Run: uuid.NewString()})
	return err
}

// delete does what `hozon backup delete` does.
func (s *site) delete(ctx context.Context, b blob.Bucket, name string) error {
	st, err := s.open(ctx, b)
	if err != nil {
		return err
	}
	return st.Delete(ctx, store.Backup, name)
}

// restore does what `hozon restore create` does. The backup is that of name, into the namespace that it comes from.
func (s *site) restore(ctx context.Context, b blob.Bucket, name, from string) error {
	st, err := s.open(ctx, b)
	if err != nil {
		return err
	}
	if _, err := st.Sweep(ctx); err != nil {
		return err
	}
	engine := restore.Engine{Target: known{s.client, slices.Collect(maps.Values(s.types))}, Store: st, Now: time.Now}
	asked := &velerov1.Restore{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "velero"},
		Spec:       velerov1.RestoreSpec{BackupName: from},
	}
	_, err = engine.Run(ctx, asked, restore.Options{})
	return err
}

// known is a cluster whose kinds are known already, which saves most of the time that a small restore takes.
type known struct {
	*cluster.Client
	types []object.Type
}

func (k known) Types(context.Context, bool) ([]object.Type, []cluster.Problem, error) {
	return k.types, nil, nil
}

// with runs a command with its n-th store operation going wrong, and reports whether it has so many. Who waits for an answer that does not
// come gives up at once.
func (s *site) with(t *testing.T, n int, how faulty.Mode, command func(context.Context, blob.Bucket) error) (hit bool, err error) {
	t.Helper()
	ctx, stop := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the command did not come to an end"))
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := faulty.New(s.bucket)
	struck := b.Arm(faulty.Fault{N: n, Mode: how})
	if how == faulty.Block {
		go func() {
			<-struck
			cancel()
		}()
	}
	err = command(ctx, b)
	select {
	case <-struck:
		return true, err
	default:
		if how == faulty.Block {
			b.Arm(faulty.Fault{}) // nothing waits any more
		}
		return false, err
	}
}

// later lets the time pass after which a claim of this process, which lives, is dead.
func (s *site) later() { s.now = s.now.Add(3 * time.Minute) }

func (s *site) keys(t *testing.T, prefix string) []string {
	t.Helper()
	var keys []string
	err := s.bucket.List(t.Context(), prefix, false, func(i blob.Info) error {
		keys = append(keys, i.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// whole checks that every listed backup is intact, and returns their names.
func (s *site) whole(t *testing.T) []string {
	t.Helper()
	st, err := s.open(t.Context(), s.bucket)
	if err != nil {
		t.Fatal(err)
	}
	names, err := st.Backups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		v, err := st.Verify(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !v.Intact() || v.Items < s.objects {
			t.Errorf("backup %s is listed and not whole: %d items, %+v", name, v.Items, v.Damages)
		}
	}
	return names
}

// swept lets time pass and checks that the next command's Sweep leaves the files of the listed backups and nothing else.
func (s *site) swept(t *testing.T, listed int) {
	t.Helper()
	s.later()
	st, err := s.open(t.Context(), s.bucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys := s.keys(t, ""); listed == 0 && len(keys) > 0 {
		t.Errorf("left behind: %v", keys)
	}
	if claims := s.keys(t, "metadata/"); len(claims) > 0 {
		t.Errorf("claims left behind: %v", claims)
	}
}

// eachBucket runs a test over memory and over a folder, with a world of some objects.
func eachBucket(t *testing.T, objects int, test func(t *testing.T, s *site)) {
	w := newWorld(t, clustertest.Shared(t), objects)
	t.Run("mem", func(t *testing.T) { test(t, &site{w, mem.New(), time.Now()}) })
	t.Run("folder", func(t *testing.T) {
		b, err := dir.Open(t.TempDir(), false)
		if err != nil {
			t.Fatal(err)
		}
		test(t, &site{w, b, time.Now()})
	})
}

// spare reports whether a mode is left out: the others than breaking off look the same to a folder as to memory. `make crash` tries everything.
func (s *site) spare(how faulty.Mode) bool {
	_, folder := s.bucket.(*dir.Bucket)
	return folder && runs() == defaultRuns && how != faulty.Tear
}

// modes are the ways in which an operation goes wrong.
var modes = []struct {
	name string
	mode faulty.Mode
}{{"fails", faulty.Fail}, {"breaks off", faulty.Tear}, {"loses its answer", faulty.Lose}, {"never answers", faulty.Block}}

// eachFault calls test for every operation of a command and every mode, until the command has no n-th operation.
func (s *site) eachFault(t *testing.T, test func(t *testing.T, n int, how faulty.Mode) (hit bool)) {
	t.Helper()
	for _, m := range modes {
		if s.spare(m.mode) {
			continue
		}
		for n := 1; ; n++ {
			hit := test(t, n, m.mode)
			if t.Failed() {
				t.Fatalf("at operation %d, which %s", n, m.name)
			}
			if !hit {
				t.Logf("each of %d operations %s", n-1, m.name)
				break
			}
		}
	}
}

// TestStoreFaultsOfBackup takes ten seconds and more: some 200 backups are made.
func TestStoreFaultsOfBackup(t *testing.T) {
	eachBucket(t, 60, func(t *testing.T, s *site) {
		s.eachFault(t, func(t *testing.T, n int, how faulty.Mode) bool {
			hit, err := s.with(t, n, how, func(ctx context.Context, b blob.Bucket) error { return s.backup(ctx, b, "b") })
			listed := s.whole(t)
			if err == nil && len(listed) != 1 {
				t.Errorf("the backup succeeded, and listed is %v", listed)
			}
			if err != nil && !errors.Is(err, faulty.ErrInjected) && !errors.Is(err, context.Canceled) {
				t.Errorf("the error says something else than what happened: %v", err)
			}
			s.swept(t, len(listed))
			if len(listed) == 0 {
				if err := s.backup(t.Context(), s.bucket, "b"); err != nil {
					t.Errorf("again: %v", err)
				}
				s.whole(t)
			}
			if err := s.delete(t.Context(), s.bucket, "b"); err != nil {
				t.Errorf("delete: %v", err)
			}
			if keys := s.keys(t, ""); len(keys) > 0 {
				t.Errorf("left behind by delete: %v", keys)
			}
			return hit
		})
	})
}

func TestStoreFaultsOfDelete(t *testing.T) {
	eachBucket(t, 12, func(t *testing.T, s *site) {
		s.eachFault(t, func(t *testing.T, n int, how faulty.Mode) bool {
			if len(s.whole(t)) == 0 {
				if err := s.backup(t.Context(), s.bucket, "b"); err != nil {
					t.Fatal(err)
				}
			}
			hit, err := s.with(t, n, how, func(ctx context.Context, b blob.Bucket) error { return s.delete(ctx, b, "b") })
			listed := s.whole(t)
			if err == nil && len(listed) != 0 {
				t.Errorf("the deletion succeeded, and listed is %v", listed)
			}
			s.swept(t, len(listed))
			if len(listed) == 0 {
				if err := s.delete(t.Context(), s.bucket, "b"); !fail.Is(err, fail.NotFound) {
					t.Errorf("delete again: %v", err)
				}
			}
			return hit
		})
	})
}

// TestStoreFaultsOfVerify: a verification in which a read went wrong may say anything but that the backup is intact.
func TestStoreFaultsOfVerify(t *testing.T) {
	eachBucket(t, 60, func(t *testing.T, s *site) {
		if err := s.backup(t.Context(), s.bucket, "b"); err != nil {
			t.Fatal(err)
		}
		s.eachFault(t, func(t *testing.T, n int, how faulty.Mode) bool {
			var v *store.Verification
			hit, err := s.with(t, n, how, func(ctx context.Context, b blob.Bucket) (err error) {
				v, err = s.verify(ctx, b)
				return err
			})
			switch {
			case !hit && (err != nil || !v.Intact()):
				t.Errorf("without a fault: %v, %+v", err, v)
			case hit && err == nil:
				t.Errorf("an operation went wrong, and the verification says %+v", v)
			case hit && fail.Is(err, fail.Corrupt):
				t.Errorf("a passing fault is called damage: %v", err)
			}
			return hit
		})
	})
}

func (s *site) verify(ctx context.Context, b blob.Bucket) (*store.Verification, error) {
	st, err := s.open(ctx, b)
	if err != nil {
		return nil, err
	}
	return st.Verify(ctx, "b", nil)
}

// TestDamageIsNoticed lets each read of a verification end early, and have a wrong byte.
func TestDamageIsNoticed(t *testing.T) {
	eachBucket(t, 60, func(t *testing.T, s *site) {
		if err := s.backup(t.Context(), s.bucket, "b"); err != nil {
			t.Fatal(err)
		}
		for _, short := range []bool{true, false} {
			n := 1
			for ; ; n++ {
				b := &damaged{Bucket: s.bucket, n: n, short: short}
				v, err := s.verify(t.Context(), b)
				if b.gets < n {
					break
				}
				if err == nil && v.Intact() {
					t.Errorf("read %d is damaged (short: %t), and the backup is said to be intact", n, short)
				}
			}
			if n < 11 { // the files of a backup
				t.Errorf("only %d reads", n-1)
			}
		}
	})
}

// TestStoreFaultsOfRestoreRecords: what goes wrong with the records of a restore leaves either all of them or, after the next command, none.
func TestStoreFaultsOfRestoreRecords(t *testing.T) {
	eachBucket(t, 2, func(t *testing.T, s *site) {
		if err := s.backup(t.Context(), s.bucket, "b"); err != nil {
			t.Fatal(err)
		}
		s.eachFault(t, func(t *testing.T, n int, how faulty.Mode) bool {
			hit, err := s.with(t, n, how, func(ctx context.Context, b blob.Bucket) error { return s.restore(ctx, b, "r", "b") })
			listed, phase := s.recorded(t)
			if err == nil && phase != velerov1.RestorePhaseCompleted {
				t.Errorf("the restore succeeded, and listed is %v, %s", listed, phase)
			}
			if err != nil && phase != "" && phase != velerov1.RestorePhaseFailed {
				t.Errorf("the restore ended with %v, and is recorded as %s", err, phase)
			}
			s.swept(t, 1)
			if keys := s.keys(t, "restores/"); len(listed) == 0 && len(keys) > 0 {
				t.Errorf("left behind: %v", keys)
			}
			if len(listed) == 0 {
				if err := s.restore(t.Context(), s.bucket, "r", "b"); err != nil {
					t.Errorf("again: %v", err)
				}
				if _, phase := s.recorded(t); phase != velerov1.RestorePhaseCompleted {
					t.Errorf("again: the phase is %s", phase)
				}
			}
			st, err := s.open(t.Context(), s.bucket)
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Delete(t.Context(), store.Restore, "r"); err != nil {
				t.Errorf("delete: %v", err)
			}
			if names := s.whole(t); len(names) != 1 {
				t.Errorf("the backup is gone: %v", names)
			}
			return hit
		})
	})
}

// recorded lists the restores, checks that each has all of its files, and returns the phase of the last.
func (s *site) recorded(t *testing.T) (names []string, phase velerov1.RestorePhase) {
	t.Helper()
	st, err := s.open(t.Context(), s.bucket)
	if err != nil {
		t.Fatal(err)
	}
	names, err = st.Restores(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		files, err := st.Files(t.Context(), store.Restore, name)
		if err != nil || len(files) != 7 {
			t.Errorf("restore %s is listed and has the files %v, %v", name, files, err)
		}
		r, err := st.Restore(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		phase = r.Status.Phase
	}
	return names, phase
}

// TestStoreOrder compares the order of what is asked of the store with the golden file. A diff is a change of what a crash can leave.
func TestStoreOrder(t *testing.T) {
	s := &site{newWorld(t, clustertest.Shared(t), 60), mem.New(), time.Now()}
	var got strings.Builder
	for _, c := range []struct {
		title string
		run   func(context.Context, blob.Bucket) error
	}{
		{"hozon backup create b", func(ctx context.Context, b blob.Bucket) error { return s.backup(ctx, b, "b") }},
		{"hozon backup verify b", func(ctx context.Context, b blob.Bucket) error { _, err := s.verify(ctx, b); return err }},
		{"hozon restore create r --from-backup b", func(ctx context.Context, b blob.Bucket) error { return s.restore(ctx, b, "r", "b") }},
		{"hozon backup delete b", func(ctx context.Context, b blob.Bucket) error { return s.delete(ctx, b, "b") }},
	} {
		b := faulty.New(s.bucket)
		if err := c.run(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n  %s\n", c.title, strings.Join(b.Ops(), "\n  "))
	}
	const file = "testdata/order.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the order has changed (-want +got); -update takes it over\n%s", diff)
	}
}
