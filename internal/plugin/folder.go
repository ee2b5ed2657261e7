// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/plugin/wire"
)

// Kind of plugin, in Velero's words.
type Kind string

// The kinds that are called. Programs may have others, which are listed and left alone.
const (
	KindObjectStore Kind = "ObjectStore"
	KindSnapshotter Kind = "VolumeSnapshotter"
)

// Plugin is one thing that a program can do.
type Plugin struct {
	Command string // path of the program
	Kind    Kind
	Name    string // "velero.io/aws"
}

// Folder has programs, in itself and in its sub-folders. Its fields are set before the first use and not changed.
type Folder struct {
	Dir  string
	Args []string // what every program gets on its command line: the server's own flags, as Velero does
	Log  *slog.Logger

	mu     sync.Mutex
	looked bool
	found  []Plugin
	broken error // of programs that did not say what they can do

	runs    sync.Mutex
	running map[*process]bool
}

func (f *Folder) started(p *process) {
	f.runs.Lock()
	defer f.runs.Unlock()
	if f.running == nil {
		f.running = map[*process]bool{}
	}
	f.running[p] = true
}

func (f *Folder) ended(p *process) {
	f.runs.Lock()
	defer f.runs.Unlock()
	delete(f.running, p)
}

// Close stops every program that runs. A call after it starts its program again.
func (f *Folder) Close() {
	f.runs.Lock()
	all := slices.Collect(maps.Keys(f.running))
	f.runs.Unlock()
	var stopped sync.WaitGroup
	for _, p := range all {
		stopped.Go(p.stop)
	}
	stopped.Wait()
}

// listTimeout bounds how long a program may take to start and say what it can do.
const listTimeout = 30 * time.Second

// maxPlugins bounds what one program may claim to be.
const maxPlugins = 1000

// Plugins lists what the programs of the folder can do, by kind and name. Each program is started once for that, the first time. A folder that does not
// exist has none. A program that does not answer is left out, and named in the error that comes with the rest.
func (f *Folder) Plugins(ctx context.Context) ([]Plugin, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.looked {
		return f.found, f.broken
	}
	commands, err := f.commands()
	if err != nil {
		return nil, err
	}
	var found []Plugin
	var broken []error
	for _, command := range commands {
		list, err := f.ask(ctx, command)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil {
			found, err = add(found, list)
		}
		if err != nil {
			broken = append(broken, err)
		}
	}
	slices.SortStableFunc(found, func(a, b Plugin) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	f.found, f.broken, f.looked = found, errors.Join(broken...), true
	return f.found, f.broken
}

// commands are the programs, by path.
func (f *Folder) commands() ([]string, error) {
	if f.Dir == "" {
		return nil, nil
	}
	var out []string
	err := filepath.WalkDir(f.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := os.Stat(path) // of what a link leads to
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			out = append(out, path)
		}
		return nil // a link that leads nowhere is no program
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fail.Errorf(fail.Invalid, "look for plugins: %w", err)
	}
	return out, nil
}

// ask starts a program, and ends it when it has said what it can do.
func (f *Folder) ask(ctx context.Context, command string) ([]Plugin, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	p := &process{command: command, args: f.Args, log: f.Log, home: f}
	defer p.stop()
	conn, err := p.start()
	if err != nil {
		return nil, err
	}
	var answer wire.ListPluginsResponse
	if err := conn.Invoke(ctx, wire.Method("PluginLister", "ListPlugins"), &wire.Empty{}, &answer); err != nil {
		return nil, fail.Errorf(fail.Unsupported, "plugin %s does not say what it can do: %w", command, err)
	}
	if len(answer.GetPlugins()) > maxPlugins {
		return nil, fail.Errorf(fail.Unsupported, "plugin %s says that it is %d plugins: that cannot be right", command, len(answer.GetPlugins()))
	}
	var list []Plugin
	for _, p := range answer.GetPlugins() {
		if !validName.MatchString(p.GetName()) {
			return nil, fail.Errorf(fail.Unsupported, "plugin %s has the name %q; names are like example.com/name", command, p.GetName())
		}
		list = append(list, Plugin{Command: command, Kind: Kind(p.GetKind()), Name: p.GetName()})
	}
	return list, nil
}

var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)

// add refuses what is there twice: nobody could say which is meant.
func add(all, more []Plugin) ([]Plugin, error) {
	for _, p := range more {
		i := slices.IndexFunc(all, func(o Plugin) bool { return o.Kind == p.Kind && o.Name == p.Name })
		if i >= 0 {
			return all, fail.Errorf(fail.Exists, "plugins %s and %s both are the %s %s: remove one of them", all[i].Command, p.Command, p.Kind, p.Name)
		}
	}
	return append(all, more...), nil
}

// find returns the plugin of a kind for a provider. A provider without a domain is Velero's.
func (f *Folder) find(ctx context.Context, kind Kind, provider string) (Plugin, error) {
	name := Name(provider)
	all, err := f.Plugins(ctx)
	for _, p := range all {
		if p.Kind == kind && p.Name == name {
			return p, nil
		}
	}
	if err != nil {
		return Plugin{}, fail.Errorf(fail.Unsupported, "there is no plugin of kind %s and name %s: %w", kind, name, err)
	}
	return Plugin{}, fail.Errorf(fail.Unsupported, "there is no plugin of kind %s and name %s in %s; there %s (`hozon plugin add` adds one)", kind, name, f.Dir, known(all, kind))
}

func known(all []Plugin, kind Kind) string {
	var names []string
	for _, p := range all {
		if p.Kind == kind {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return "are none of that kind"
	}
	return "are " + strings.Join(names, ", ")
}

// Name is the full name of a provider: one without a domain is Velero's.
func Name(provider string) string {
	if strings.Contains(provider, "/") {
		return provider
	}
	return fmt.Sprintf("velero.io/%s", provider)
}
