// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/vault/vaulttest"
)

// TestGrowing: a file that is written to while it is read is saved, as far as that goes, and named; what stands beside it comes back as it was.
func TestGrowing(t *testing.T) {
	w := newWorld(t)
	w.repository(standard)
	w.agent()
	pod := w.start(w.pod("app", emptyDir("disk")))
	source := w.in(pod, onDisk, "disk")
	fill(t, source, 3, 1<<20)
	still := vaulttest.Disk(t, source)
	grows, err := os.Create(filepath.Join(source, "growing"))
	if err != nil {
		t.Fatal(err)
	}
	if err := grows.Truncate(100 << 20); err != nil { // so that it takes a while to read
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer grows.Close()
		for n := int64(0); ; n++ {
			select {
			case <-done:
				return
			default:
			}
			if _, err := grows.WriteAt([]byte{byte(n)}, n%(100<<20)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	message, snapshot := "", w.order("first", pod, "disk", "")
	for n, deadline := 0, time.Now().Add(patience); message == "" && time.Now().Before(deadline); n++ { // whoever writes may have to wait for a processor
		snapshot = w.saved(w.backup(fmt.Sprintf("growing-%d", n), pod, "disk", ""))
		if snapshot.Status.Phase != "Completed" || snapshot.Status.SnapshotID == "" {
			t.Fatalf("%+v", snapshot.Status)
		}
		message = snapshot.Status.Message
	}
	close(done)
	<-ended
	t.Log(message)
	contains(t, message, "volume disk of pod "+w.app+"/app: 1 files changed or vanished while it was saved: ", `"growing": it changed while it was read`)
	mover := w.start(w.mover("mover", emptyDir("disk")))
	r := w.restored(w.restoreOf("back", snapshot, mover, "disk"))
	w.wantCompleted(string(r.Status.Phase), r.Status.Message)
	var got []vaulttest.Entry
	for _, e := range vaulttest.Disk(t, w.in(mover, onDisk, "disk")) {
		if !strings.HasPrefix(e.Path, "growing") {
			got = append(got, e)
		}
	}
	vaulttest.Compare(t, got, still)
}
