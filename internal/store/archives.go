// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// On a shelf of Clusters an archive has a commit record beside it, and a run that could not make one leaves a note in its place.
const (
	recordSuffix  = ".json"
	failureSuffix = ".failed"
)

// maxFailures is how many notes of failed runs a shelf keeps.
const maxFailures = 100

// Archives is what a shelf of Clusters tells of the archives of one cluster.
type Archives struct {
	Kept   int           // that count
	Newest string        // of them; "": there is none
	Last   ArchiveRecord // of Newest
	Failed int           // runs since Newest that ended without one
}

// ArchiveRecord is what a commit record says that others than its reader need.
type ArchiveRecord struct {
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Size    int64     `json:"size"`
	Sealed  bool      `json:"sealed"`
}

// Failure is the note that a run leaves that could not make an archive.
type Failure struct {
	Cluster string    `json:"cluster"`
	At      time.Time `json:"at"`
	Error   string    `json:"error"`
}

// RecordOf is the name of an archive's commit record: an archive without it does not count.
func RecordOf(archive string) string { return archive + recordSuffix }

// Archives looks at the shelf. before is what was known, so that the record of an archive that is still the newest is not read again.
func (f *Shelf) Archives(ctx context.Context, before Archives) (Archives, error) {
	files, err := f.List(ctx)
	if err != nil {
		return before, err
	}
	slices.Sort(files) // their names order them by time
	var now Archives
	for _, file := range files {
		if name, ok := strings.CutSuffix(file, recordSuffix); ok {
			now.Kept++
			now.Newest, now.Failed = name, 0
		} else if strings.HasSuffix(file, failureSuffix) {
			now.Failed++
		}
	}
	switch now.Newest {
	case "":
		return now, nil
	case before.Newest:
		now.Last = before.Last
		return now, nil
	}
	return now, f.ReadJSON(ctx, RecordOf(now.Newest), &now.Last)
}

// Fail leaves a note that the run which would have made an archive failed, and removes the oldest ones if there are many.
func (f *Shelf) Fail(ctx context.Context, archive string, note Failure) error {
	if err := f.PutJSON(ctx, archive+failureSuffix, note); err != nil {
		return err
	}
	notes, err := f.failures(ctx)
	if err != nil {
		return err
	}
	return f.Delete(ctx, notes[:max(0, len(notes)-maxFailures)]...)
}

// Forget removes the notes of runs before an archive, which was made since.
func (f *Shelf) Forget(ctx context.Context, archive string) error {
	notes, err := f.failures(ctx)
	if err != nil {
		return err
	}
	return f.Delete(ctx, slices.DeleteFunc(notes, func(n string) bool { return n > archive })...)
}

func (f *Shelf) failures(ctx context.Context) ([]string, error) {
	files, err := f.List(ctx)
	slices.Sort(files)
	return slices.DeleteFunc(files, func(n string) bool { return !strings.HasSuffix(n, failureSuffix) }), err
}
