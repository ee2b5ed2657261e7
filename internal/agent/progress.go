// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// progress is how far a task is.
type progress struct {
	read atomic.Pointer[func() (done, total int64)] // nil: it has not begun
}

// follow says where the numbers are.
func (p *progress) follow(read func() (done, total int64)) { p.read.Store(&read) }

func (p *progress) now() velerov1.DataMoveOperationProgress {
	read := p.read.Load()
	if read == nil {
		return velerov1.DataMoveOperationProgress{}
	}
	done, total := (*read)()
	return velerov1.DataMoveOperationProgress{BytesDone: done, TotalBytes: max(done, total)}
}

// The first progress comes soon, for those who watch; later ones spare the API server.
const (
	firstTold = time.Second
	nextTold  = 5 * time.Second
)

// tell writes the progress down from time to time, until stop is called, which waits for the last writing.
func (p *progress) tell(ctx context.Context, k *keeper, o client.Object) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	named := k.named(o)
	var all sync.WaitGroup
	all.Go(func() {
		told := velerov1.DataMoveOperationProgress{}
		for timer := time.NewTimer(firstTold); ; timer.Reset(nextTold) {
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			now := p.now()
			if now == told {
				continue
			}
			told = now
			body := fmt.Sprintf(`{"metadata":{"uid":%q},"status":{"progress":{"totalBytes":%d,"bytesDone":%d}}}`, o.GetUID(), now.TotalBytes, now.BytesDone)
			if err := k.Client.Patch(ctx, named, client.RawPatch(types.MergePatchType, []byte(body))); err != nil && ctx.Err() == nil {
				k.Log.Warn("progress could not be written", "object", o.GetName(), "error", err)
			}
		}
	})
	return func() { cancel(); all.Wait() }
}

// named is an object of which nothing but its name is known, to take the answer to a patch.
func (k *keeper) named(of client.Object) client.Object {
	o := k.empty().object()
	o.SetNamespace(of.GetNamespace())
	o.SetName(of.GetName())
	return o
}
