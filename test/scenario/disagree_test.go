// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"hozon.dev/hozon/test/daemon"
)

// TestDisagree saves an etcd whose members do not hold the same data, and one that has lost its quorum: not by itself, but from the member that is named.
func TestDisagree(t *testing.T) {
	t.Parallel()
	kube, err := daemon.Build(t.Context(), "devcluster/build")
	check(t, err)
	c := Start(t, Setup{Hosts: 3, Units: true, Etcd: kube})
	s := NewStation(t, c)
	put(t, c.etcd(t, c.Hosts[0]), "/registry/namespaces/default", fmt.Sprintf(object, "default"), "/registry/configmaps/a", "right", "/registry/configmaps/b", "1")
	try := func(name string, more ...string) (string, error) {
		return s.Try(t, append([]string{"backup", "cluster", "-c", "prod", "--inventory", s.inventory, "--recipient", s.recipient, "--backup-file", name}, more...)...)
	}
	if out, err := try("well.age"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h := c.Hosts[1]
	h.Sh(t, "systemctl stop etcd")
	db := filepath.Join(t.TempDir(), "db")
	text, err := h.Inside(context.WithoutCancel(t.Context()), "cat", "/var/lib/etcd/member/snap/db").Output()
	check(t, err)
	check(t, os.WriteFile(db, text, 0o600))
	falsify(t, db)
	text, err = os.ReadFile(db)
	check(t, err)
	in := h.Inside(context.WithoutCancel(t.Context()), "bash", "-euc", "cat >/var/lib/etcd/member/snap/db")
	in.Stdin = bytes.NewReader(text)
	check(t, in.Run())
	h.Sh(t, "systemctl start etcd")
	put(t, c.etcd(t, h), "/registry/configmaps/c", "1") // it is one of them again
	out, err := try("torn.age")
	if err == nil || !strings.Contains(out, "do NOT hold the same data") || !strings.Contains(out, "cp-1, cp-3 have") || !strings.Contains(out, "--from") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := s.Try(t, "check", "cluster", "-c", "prod", "--inventory", s.inventory); err == nil || !strings.Contains(out, "do NOT hold the same data") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := try("chosen.age", "--from", "cp-1"); err != nil || !strings.Contains(out, "as host cp-1 has it") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, h := range c.Hosts[1:] {
		h.Sh(t, "systemctl stop etcd")
	}
	c.Hosts[0].Sh(t, "for i in $(seq 300); do grep -E 'elected leader|lost leader' /var/log/etcd.log | tail -n 1 | grep -q 'lost leader' && exit; sleep 0.2; done; tail /var/log/etcd.log; exit 1")
	if out, err := try("alone.age"); err == nil || !strings.Contains(out, "host cp-1: it sees no leader: the quorum is lost") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := try("last.age", "--from", "cp-1"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "*.age*")); len(left) != 3 {
		t.Errorf("there are %v", left)
	}
}

// falsify changes one value in a database, as a bad disk would.
func falsify(t *testing.T, file string) {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, nil)
	check(t, err)
	done := false
	check(t, db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		return b.ForEach(func(k, v []byte) error {
			if wrong := bytes.Replace(v, []byte("right"), []byte("wrong"), 1); !done && !bytes.Equal(v, wrong) {
				done = true
				return b.Put(k, wrong)
			}
			return nil
		})
	}))
	check(t, db.Close())
	if !done {
		t.Fatal("the value is not in the database yet")
	}
}
