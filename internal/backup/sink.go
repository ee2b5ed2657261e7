// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/policy"
	"hozon.dev/hozon/internal/store"
)

// reportEvery is how many items pass between two words to the observer.
const reportEvery = 256

// sink takes what collect finds into the archive, and remembers the few things that side files say about volumes.
type sink struct {
	writer  *archive.Writer
	summary archive.Summary
	index   archive.IndexSummary
	observe Observer
	done    atomic.Int64
	objects atomic.Int64                       // as done, each once, whatever the number of its versions
	refused map[object.Ref]string              // not to be saved
	bodies  bool                               // of volumes are kept, too
	hooked  func(object.Ref, object.Head) bool // a pod may have hooks, of which none has run: it ends the listing; nil: none does

	wantClaims bool // what is asked of claims is kept
	wantPods   bool // all pods with volumes are kept, not only those that name some

	mu      sync.Mutex
	volumes []volume
	pods    []podFiles
	claims  map[string]claim // "namespace/name"
}

func newSink(w io.Writer, modified time.Time, observe Observer) *sink {
	return &sink{writer: archive.NewWriter(w, archive.Options{Modified: modified}), observe: observe}
}

// Lane is collect's name for what one listing goroutine writes to.
func (s *sink) Lane() collect.Lane { return &lane{sink: s, lane: s.writer.Lane()} }

type lane struct {
	sink *sink
	lane *archive.Lane
}

func (l *lane) Add(it collect.Item) error {
	if _, ok := l.sink.refused[it.Ref]; ok {
		return nil
	}
	if l.sink.hooked != nil && it.Ref.Group == "" && it.Ref.Resource == podType.Resource && l.sink.hooked(it.Ref, it.Head) {
		return errHooked
	}
	err := l.lane.Add(archive.Item{Ref: it.Ref, Version: it.Type.Version, Kind: it.Type.Kind, Preferred: it.Type.Preferred, Body: it.Body})
	if fail.Is(err, fail.Exists) { // the same object by two ways: one copy is enough
		return nil
	}
	if err != nil {
		return err
	}
	if it.Ref.Group == "" && it.Ref.Resource == "persistentvolumes" {
		l.sink.keep(it)
	}
	if l.sink.wantClaims && it.Ref.Group == "" && it.Ref.Resource == "persistentvolumeclaims" {
		l.sink.keepClaim(it)
	}
	if it.Ref.Group == "" && it.Ref.Resource == "pods" && it.Type.Preferred {
		l.sink.keepPod(it)
	}
	if it.Type.Preferred {
		l.sink.objects.Add(1)
	}
	if n := l.sink.done.Add(1); n%reportEvery == 0 {
		l.sink.observe.Items(int(n), 0)
	}
	return nil
}

func (l *lane) Close() error { return l.lane.Close() }

// volume is what the side files need to know of a PersistentVolume.
type volume struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		ReclaimPolicy string `json:"persistentVolumeReclaimPolicy"`
		ClaimRef      *struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"claimRef"`
		NodeAffinity struct {
			Required struct {
				Terms []affinity `json:"nodeSelectorTerms"`
			} `json:"required"`
		} `json:"nodeAffinity"`
	} `json:"spec"`

	body     []byte          // nil: not kept
	facts    policy.Volume   // what policies ask of it
	bad      error           // why the facts are not known
	snapshot *store.Snapshot // nil: nobody took one
	action   policy.Action   // "": no policy decides
	why      string          // the policy
	files    bool            // its files are saved
	unread   string          // why they are not, although they should be
}

// keep remembers a volume. One that cannot be decoded is saved like any other object and only missing in the list of volumes.
func (s *sink) keep(it collect.Item) {
	var v volume
	if json.Unmarshal(it.Body, &v) != nil {
		return
	}
	if s.bodies {
		v.body = bytes.Clone(it.Body)
	}
	v.facts, v.bad = policy.ReadVolume(it.Body)
	s.mu.Lock()
	s.volumes = append(s.volumes, v)
	s.mu.Unlock()
}

// writeResourceList writes Velero's resource list, {"apps/v1/Deployment":["ns/name",…]}, straight from the
// index, whose order brings the names of a kind together.
func (s *sink) writeResourceList(w io.Writer) error {
	gz := gzip.NewWriter(w)
	out := bufio.NewWriter(gz)
	var last string
	open := "{"
	for e := range s.writer.Index() {
		if !e.Preferred {
			continue
		}
		kind := object.Type{Group: e.Ref.Group, Version: e.Version}.GroupVersion() + "/" + e.Kind
		if kind != last {
			out.WriteString(open)
			open = "],"
			last = kind
			out.Write(quote(kind))
			out.WriteString(":[")
		} else {
			out.WriteByte(',')
		}
		out.Write(quote(e.Ref.ID()))
	}
	if last == "" {
		out.WriteString("{}\n")
	} else {
		out.WriteString("]}\n")
	}
	if err := out.Flush(); err != nil { // a bufio.Writer keeps its first error
		return err
	}
	return gz.Close()
}

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}
