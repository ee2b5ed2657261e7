// SPDX-License-Identifier: Apache-2.0

// Package journal remembers how far a long piece of work has come, so that it can be continued or taken back after it was cut off anywhere.
//
// Its nouns: a Journal is a file, of one line for each event; its first line is the plan; a State is what became of a step.
//
// Invariants: an event is on the disk before Record returns; a line that was cut off is as if it had never been begun; one process at a time has a journal
// open. It holds no secrets, and does not know what the steps are.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// State is what became of a step.
type State string

const (
	Begun  State = "begun"
	Done   State = "done"
	Undone State = "undone" // was begun, and is taken back
)

// maxSize bounds what is read.
const maxSize = 64 << 20

// event is a line but the first.
type event struct {
	Time  time.Time `json:"time"`
	Step  string    `json:"step"`
	State State     `json:"state"`
}

// Journal is an open journal.
type Journal struct {
	Now func() time.Time

	file   *os.File
	states map[string]State
}

// Create begins a journal with its plan; the folder is made. The file must not exist.
func Create(name string, now func() time.Time, plan any) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("begin the journal: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin the journal: %w", err)
	}
	j := &Journal{Now: now, file: f, states: map[string]State{}}
	err = lock(f)
	if err == nil {
		err = j.write(plan)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(name))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("begin the journal: %w", err)
	}
	return j, nil
}

// Open continues a journal and reads its plan.
func Open(name string, now func() time.Time, plan any) (*Journal, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	j := &Journal{Now: now, file: f, states: map[string]State{}}
	if err = lock(f); err == nil {
		err = j.read(plan)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("journal %s: %w", name, err)
	}
	return j, nil
}

// Peek reads the plan and the states without taking the journal.
func Peek(name string, plan any) (*Journal, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	defer f.Close()
	j := &Journal{states: map[string]State{}}
	if _, err := j.parse(f, plan); err != nil {
		return nil, fmt.Errorf("journal %s: %w", name, err)
	}
	return j, nil
}

// read also cuts off what a line that was not finished has left.
func (j *Journal) read(plan any) error {
	whole, err := j.parse(j.file, plan)
	if err != nil {
		return err
	}
	return j.file.Truncate(whole)
}

func (j *Journal) parse(r io.Reader, plan any) (whole int64, err error) {
	in := bufio.NewReader(io.LimitReader(r, maxSize))
	for first := true; ; first = false {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if first {
				return 0, fail.Errorf(fail.Corrupt, "it was cut off before its plan was written: nothing was begun; remove its folder")
			}
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		whole += int64(len(line))
		if first {
			if err := json.Unmarshal(line, plan); err != nil {
				return 0, fail.Errorf(fail.Corrupt, "its plan: %w", err)
			}
			continue
		}
		var e event
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return 0, fail.Errorf(fail.Corrupt, "a line of it: %w", err)
		}
		j.states[e.Step] = e.State
	}
}

// Record writes what became of a step.
func (j *Journal) Record(step string, s State) error {
	if err := j.write(event{j.Now().UTC(), step, s}); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	j.states[step] = s
	return nil
}

func (j *Journal) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return j.file.Sync()
}

// State is what became of a step; "" if it was never begun.
func (j *Journal) State(step string) State { return j.states[step] }

// Close lets go of the file, which stays.
func (j *Journal) Close() error { return j.file.Close() }

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
