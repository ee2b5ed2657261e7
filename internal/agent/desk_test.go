// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// TestDesk: tasks have their turn in order, as many as may; one that an agent died of has the node to itself.
func TestDesk(t *testing.T) {
	d := newDesk(2)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- d.Start(ctx) }()
	begun, ended := make(chan string), map[string]chan struct{}{}
	add := func(name string, alone bool) bool {
		end := make(chan struct{})
		ended[name] = end
		return d.submit(&task{uid: types.UID(name), of: name, alone: alone, do: func(ctx, _ context.Context) {
			begun <- name
			select {
			case <-end:
			case <-ctx.Done():
			}
		}})
	}
	begin := func(want ...string) {
		t.Helper()
		var got []string
		for range want {
			got = append(got, <-begun)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%v began, want %v", got, want)
		}
	}
	add("a", false)
	begin("a")
	add("b", false)
	begin("b")
	for _, name := range []string{"c", "d", "e", "f"} {
		if !add(name, name == "d") {
			t.Errorf("%s does not wait", name)
		}
	}
	if add("c", false) {
		t.Error("c is there twice")
	}
	close(ended["a"])
	begin("c")
	if d.stop("e", errCancelled) {
		t.Error("e runs")
	}
	if !d.has("b") || d.has("e") {
		t.Error("b or e")
	}
	close(ended["b"])
	select {
	case name := <-begun:
		t.Fatalf("%s began beside c: d waits for the node to itself", name)
	default:
	}
	if !d.stop("c", errCancelled) {
		t.Error("c does not run")
	}
	begin("d")
	if running, waiting := d.load(); running != 1 || waiting != 1 {
		t.Errorf("%d run, %d wait", running, waiting)
	}
	d.stopNamed("d", errGone)
	begin("f")
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
}
