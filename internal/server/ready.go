// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
)

// kinds are the resources that the server watches.
var kinds = []string{
	"backups", "backupstoragelocations", "deletebackuprequests", "downloadrequests", "restores", "schedules",
	"serverstatusrequests", "volumesnapshotlocations",
}

// ready checks that namespace and resource definitions are there.
func ready(ctx context.Context, o Options) error {
	clients, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return fmt.Errorf("open the cluster %s: %w", o.Config.Host, err)
	}
	if _, err := clients.CoreV1().Namespaces().Get(ctx, o.Namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return fail.Errorf(fail.NotFound, "the namespace %s does not exist: create it, or name another one with --namespace", o.Namespace)
	} else if err != nil && !apierrors.IsForbidden(err) {
		return fmt.Errorf("get namespace %s: %w", o.Namespace, err)
	}
	served, err := discovery.NewDiscoveryClient(clients.RESTClient()).ServerResourcesForGroupVersion(velerov1.APIVersion)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("discover %s: %w", velerov1.APIVersion, err)
	}
	have := map[string]bool{}
	if served != nil {
		for _, r := range served.APIResources {
			have[r.Name] = true
		}
	}
	var missing []string
	for _, k := range kinds {
		if !have[k] {
			missing = append(missing, k+".velero.io")
		}
	}
	if len(missing) > 0 {
		return fail.Errorf(fail.NotFound, "the cluster does not have the custom resources %s: apply the files of deploy/crd (kubectl apply --server-side -f)", strings.Join(missing, ", "))
	}
	return nil
}

// health answers /healthz and /readyz.
type health struct{ synced atomic.Bool }

func (h *health) live(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	if !h.synced.Load() {
		http.Error(w, "the caches are not filled yet", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// started makes a process ready once its caches are filled, whether it leads or not.
type started struct {
	cache  cache.Cache
	health *health
}

func (s *started) Start(ctx context.Context) error {
	if s.cache.WaitForCacheSync(ctx) {
		s.health.synced.Store(true)
	}
	<-ctx.Done()
	return nil
}

func (s *started) NeedLeaderElection() bool { return false }
