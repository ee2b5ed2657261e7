// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // kubeconfigs that log in by OpenID Connect
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"hozon.dev/hozon/internal/fail"
)

// Options say which cluster is meant and how to speak to it. The zero value finds it as kubectl does.
type Options struct {
	Kubeconfig string // path of a kubeconfig file; empty: $KUBECONFIG, ~/.kube/config, or the pod's own account
	Context    string // context of the kubeconfig; empty: its current one

	QPS   float32 // requests a second; 0: no limit
	Burst int     // requests that may be sent at once when QPS is set

	UserAgent string // empty: "hozon"
	Compress  bool   // ask for compressed responses: worth its CPU time only over slow networks
}

// Open returns a client for the cluster that o names. It reads the kubeconfig and does not call the server.
func Open(o Options) (*Client, error) {
	cfg, err := Config(o)
	if err != nil {
		return nil, err
	}
	return New(cfg)
}

// Config finds the cluster that o names, for those who speak to it by other means too. It reads the kubeconfig and does not call the server.
func Config(o Options) (*rest.Config, error) {
	cfg, err := config(o)
	if err != nil {
		return nil, err
	}
	cfg.QPS, cfg.Burst = o.QPS, o.Burst
	cfg.UserAgent = o.UserAgent
	cfg.DisableCompression = !o.Compress
	return cfg, nil
}

func config(o Options) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	rules.WarnIfAllMissing = false
	looked := rules.GetLoadingPrecedence()
	if o.Kubeconfig != "" {
		looked = []string{o.Kubeconfig}
	}
	loaded, err := rules.Load()
	if err != nil {
		return nil, kubeconfigError(looked, err)
	}
	if len(loaded.Contexts) == 0 && len(loaded.Clusters) == 0 {
		return inCluster(o, looked)
	}
	where := strings.Join(existing(looked), ", ")
	if err := checkContext(loaded, o.Context, where); err != nil {
		return nil, err
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*loaded, o.Context, overrides, rules).ClientConfig()
	if err != nil {
		return nil, invalid("read kubeconfig %s: %w", where, err)
	}
	return cfg, nil
}

// inCluster is used when there is no kubeconfig at all.
func inCluster(o Options, looked []string) (*rest.Config, error) {
	if found := existing(looked); len(found) > 0 {
		return nil, invalid("read kubeconfig %s: it names no cluster", strings.Join(found, ", "))
	}
	if o.Context != "" {
		return nil, invalid("context %q: no kubeconfig found at %s", o.Context, strings.Join(looked, ", "))
	}
	cfg, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, fail.Errorf(fail.NotFound, "no kubeconfig found: looked at %s, and this is not a pod; "+
			"name one with --kubeconfig or the variable KUBECONFIG", strings.Join(looked, ", "))
	}
	if err != nil {
		return nil, invalid("read the pod's service account: %w", err)
	}
	return cfg, nil
}

func kubeconfigError(looked []string, err error) error {
	where := strings.Join(looked, ", ")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail.Errorf(fail.NotFound, "no kubeconfig at %s: name one with --kubeconfig or the variable KUBECONFIG", where)
	case errors.Is(err, fs.ErrPermission):
		return fail.Errorf(fail.Denied, "read kubeconfig: %w", err)
	}
	return invalid("read kubeconfig %s: %w", where, err)
}

// checkContext gives a better answer than client-go, which speaks of a missing cluster when the context is missing.
func checkContext(loaded *clientcmdapi.Config, name, where string) error {
	if name == "" {
		name = loaded.CurrentContext
	}
	if _, ok := loaded.Contexts[name]; ok {
		return nil
	}
	var have []string
	for c := range loaded.Contexts {
		have = append(have, c)
	}
	slices.Sort(have)
	if name == "" {
		return invalid("kubeconfig %s has no current context: choose one with --kubecontext (%s)", where, list(have))
	}
	return fail.Errorf(fail.NotFound, "kubeconfig %s has no context %q: it has %s", where, name, list(have))
}

func list(names []string) string {
	const most = 10
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func existing(paths []string) []string {
	var found []string
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			found = append(found, p)
		}
	}
	return found
}
