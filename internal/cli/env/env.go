// SPDX-License-Identifier: Apache-2.0

// Package env is what a command gets from outside: its streams, the flags that all commands share, and the
// cluster and store that these flags name, opened when first asked for.
//
// Data goes to Out, talk goes to Err, and what only a person wants to see (progress) goes to Err when that is a terminal.
package env

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"
	"k8s.io/klog/v2"

	"hozon.dev/hozon/internal/blob/open"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// DefaultNamespace is where Velero lives unless told otherwise.
const DefaultNamespace = "velero"

// Env is the outside world of one invocation.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	// Name is what the program was called as, without folder: "hozon", "velero", "kubectl-hozon".
	Name    string
	Version string

	Kubeconfig  string
	KubeContext string
	Namespace   string
	StoreURL    string
	Debug       bool

	// Trim gives memory back that the program's start has taken and its work does not need; nil: there is none.
	Trim func()
	// Yield is what GiveWay does; nil: nothing.
	Yield func()

	downloads downloads
}

// New is the environment of this process.
func New(name, version string) *Env {
	return &Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now, Name: name, Version: version,
	}
}

// AddFlags registers the flags that every command has.
func (e *Env) AddFlags(f *pflag.FlagSet) {
	namespace := cmp.Or(e.Getenv("VELERO_NAMESPACE"), e.setting("namespace"), DefaultNamespace)
	f.StringVar(&e.Kubeconfig, "kubeconfig", "", "Path of the kubeconfig file (default: $KUBECONFIG, ~/.kube/config, or the pod's own account).")
	f.StringVar(&e.KubeContext, "kubecontext", "", "Context of the kubeconfig file (default: its current one).")
	f.StringVarP(&e.Namespace, "namespace", "n", namespace, "Namespace in which the server runs, and that backups and restores are recorded under.")
	f.StringVar(&e.StoreURL, "store", e.Getenv("HOZON_STORE"), "Work without a server, on backups kept in a folder, file:///folder, s3://bucket/prefix?endpoint=…, gs://bucket/prefix or azblob://container/prefix?account=NAME (default: $HOZON_STORE).")
	f.BoolVar(&e.Debug, "debug", false, "Print more about what goes wrong.")
	addVelerosFlags(f)
}

// addVelerosFlags registers what every command of Velero takes besides. Features are always on, nothing is coloured, and libraries log little; scripts
// that say something about them go on working.
func addVelerosFlags(f *pflag.FlagSet) {
	var colorized OptionalBool
	f.StringSlice("features", nil, "Features of Velero; those that exist are always on.")
	colorized.AddFlag(f, "colorized", "Accepted for Velero's sake: nothing is coloured.")
	logs := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(logs)
	f.AddGoFlagSet(logs)
	logs.VisitAll(func(l *flag.Flag) { _ = f.MarkHidden(l.Name) }) // it is there
	_ = f.MarkHidden("features")
	_ = f.MarkHidden("colorized")
}

// OpenStore opens the store that --store names. With create, the last folder of a path is made.
func (e *Env) OpenStore(ctx context.Context, create bool) (*store.Store, error) {
	if e.StoreURL == "" {
		return nil, UsageError(errors.New("no store: this command works on one; say where backups are kept with --store URL or HOZON_STORE, for example --store /srv/backups or --store 's3://bucket/prefix?endpoint=https://s3.example.com'"))
	}
	bucket, err := open.Bucket(ctx, e.StoreURL, open.Options{Create: create})
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, bucket)
}

// OpenCluster opens the cluster that the kubeconfig names.
func (e *Env) OpenCluster() (*cluster.Client, error) {
	return cluster.Open(cluster.Options{Kubeconfig: e.Kubeconfig, Context: e.KubeContext, UserAgent: "hozon/" + e.Version})
}

// OpenServer opens the server that runs in the namespace of the cluster that the kubeconfig names. It is not called yet.
func (e *Env) OpenServer() (velero.Client, error) {
	if e.StoreURL != "" {
		return velero.Client{}, Usagef("this command is for the server in the cluster: leave out --store, or HOZON_STORE")
	}
	c, err := e.OpenCluster()
	if fail.Is(err, fail.NotFound) {
		err = fail.Errorf(fail.NotFound, "%w; to work without a server, say where backups are kept with --store URL or HOZON_STORE", err)
	}
	return velero.Client{Cluster: c, Namespace: e.Namespace}, err
}

// GiveWay lets everybody else on the machine go first from now on: for backups, which nobody waits for. A restore is waited for, and loses a quarter of its rate
// by it where the API server is on the same machine.
func (e *Env) GiveWay() {
	if e.Yield != nil {
		e.Yield()
	}
}

// Say prints a line of talk.
func (e *Env) Say(format string, args ...any) { fmt.Fprintf(e.Err, format+"\n", args...) }

// Sweep removes what dead runs left in the store and says so.
func (e *Env) Sweep(ctx context.Context, s *store.Store) error {
	swept, err := s.Sweep(ctx)
	for _, name := range swept {
		e.Say("Removed what an unfinished run left of %s.", name)
	}
	if fail.Is(err, fail.Denied) { // a store that may only be read has nothing to sweep for this user
		return nil
	}
	return err
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
