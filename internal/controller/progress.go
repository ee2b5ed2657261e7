// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// progressEvery is how often progress is written at most, as Velero does.
const progressEvery = time.Second

// progress writes how far a run is into its object. It is written only as long as the object is carried out by that run.
type progress struct {
	done, total atomic.Int64
	end         context.CancelFunc
	idle        chan struct{}
}

// follow begins to write the progress of the run of o; value makes the field of the status.
func (s *Site) follow(ctx context.Context, o client.Object, value func(total, done int) any) *progress {
	ctx, end := context.WithCancel(ctx)
	p := &progress{end: end, idle: make(chan struct{})}
	go func() {
		defer close(p.idle)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		var last [2]int64
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := [2]int64{p.total.Load(), p.done.Load()}
			if now == last {
				continue
			}
			last = now
			s.writeProgress(ctx, o, value(int(now[0]), int(now[1])))
		}
	}()
	return p
}

// stop returns when nothing will be written any more.
func (p *progress) stop() {
	p.end()
	<-p.idle
}

func (s *Site) writeProgress(ctx context.Context, o client.Object, value any) {
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/annotations/" + strings.ReplaceAll(velerov1.AnnotationRun, "/", "~1"), "value": run(o)},
		{"op": "test", "path": "/status/phase", "value": "InProgress"},
		{"op": "add", "path": "/status/progress", "value": value},
	})
	if err == nil {
		copied := o.DeepCopyObject().(client.Object)
		err = s.Client.Patch(ctx, copied, client.RawPatch(types.JSONPatchType, patch))
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Debug("progress was not written", "object", o.GetName(), "error", err)
	}
}

// watch observes the engine.
func (r *Backups) watch(ctx context.Context, b *velerov1.Backup) *progress {
	return r.follow(ctx, b, func(total, done int) any {
		return velerov1.BackupProgress{TotalItems: max(total, done), ItemsBackedUp: done}
	})
}

// Step implements backup.Observer.
func (p *progress) Step(string) {}

// Items implements backup.Observer.
func (p *progress) Items(done, expected int) {
	p.done.Store(int64(done))
	p.total.Store(int64(expected))
}
