// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"hozon.dev/hozon/internal/host/hosttest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// secret is in a Secret that is encrypted in etcd; nobody may find it on a disk.
const secret = "marker-of-a-secret-that-must-not-be-seen"

// world is what is in the cluster when it is saved, and who watches it.
type world struct {
	*Cluster
	objects map[string]string // as of the backup
	token   string            // of a service account
	seen    cache.Store       // what an informer that runs all the time believes
}

// newWorld fills a cluster.
func newWorld(t *testing.T, c *Cluster) *world {
	t.Helper()
	w := &world{Cluster: c}
	client, ctx := c.Client(t, c.Hosts[0]), t.Context()
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	check(t, err)
	_, err = client.CoreV1().Secrets("shop").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "key"}, Data: map[string][]byte{"k": []byte(secret)}}, metav1.CreateOptions{})
	check(t, err)
	_, err = client.CoreV1().ServiceAccounts("shop").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "clerk"}}, metav1.CreateOptions{})
	check(t, err)
	day := int64(24 * 3600)
	request, err := client.CoreV1().ServiceAccounts("shop").CreateToken(ctx, "clerk", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}, metav1.CreateOptions{})
	check(t, err)
	w.token = request.Status.Token
	for i := range 30 {
		w.configMap(t, client, fmt.Sprintf("settings-%d", i), "blue")
	}
	watcher, err := kubernetes.NewForConfig(c.patient(t, c.Hosts[0]))
	check(t, err)
	factory := informers.NewSharedInformerFactoryWithOptions(watcher, 0, informers.WithNamespace("shop"))
	informer := factory.Core().V1().ConfigMaps().Informer()
	w.seen = informer.GetStore()
	factory.Start(t.Context().Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the informer does not come up")
	}
	return w
}

func (w *world) configMap(t *testing.T, client *kubernetes.Clientset, name, colour string) {
	t.Helper()
	_, err := client.CoreV1().ConfigMaps("shop").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"colour": colour}}, metav1.CreateOptions{})
	check(t, err)
}

// note remembers what there is.
func (w *world) note(t *testing.T) {
	t.Helper()
	w.objects = w.all(t, w.Hosts[0])
}

// change is what happens after the backup: objects come, change and go.
func (w *world) change(t *testing.T) {
	t.Helper()
	client := w.Client(t, w.Hosts[0])
	for i := range 20 {
		w.configMap(t, client, fmt.Sprintf("newer-%d", i), "red")
	}
	maps := client.CoreV1().ConfigMaps("shop")
	m, err := maps.Get(t.Context(), "settings-1", metav1.GetOptions{})
	check(t, err)
	m.Data["colour"] = "red"
	_, err = maps.Update(t.Context(), m, metav1.UpdateOptions{})
	check(t, err)
	check(t, maps.Delete(t.Context(), "settings-2", metav1.DeleteOptions{}))
	check(t, client.CoreV1().Secrets("shop").Delete(t.Context(), "key", metav1.DeleteOptions{}))
	check(t, client.CoreV1().ServiceAccounts("shop").Delete(t.Context(), "clerk", metav1.DeleteOptions{}))
}

// busy are resources that API servers write to by themselves, at any time.
var busy = []string{"leases", "events", "endpoints", "endpointslices", "apiservices", "componentstatuses"}

// all lists every object with what tells one state of it from another.
func (w *world) all(t *testing.T, h *hosttest.Host) map[string]string {
	t.Helper()
	lists, err := w.Client(t, h).Discovery().ServerPreferredResources()
	check(t, err)
	client, err := dynamic.NewForConfig(w.Config(h))
	check(t, err)
	all := map[string]string{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		check(t, err)
		for _, r := range l.APIResources {
			if slices.Contains(busy, r.Name) || !slices.Contains(r.Verbs, "list") {
				continue
			}
			found, err := client.Resource(gv.WithResource(r.Name)).List(t.Context(), metav1.ListOptions{})
			if apierrors.IsMethodNotSupported(err) || apierrors.IsNotFound(err) {
				continue
			}
			check(t, err)
			for _, o := range found.Items {
				if o.GetName() == "extension-apiserver-authentication" {
					continue // API servers write it anew when they like
				}
				all[r.Name+"/"+o.GetNamespace()+"/"+o.GetName()] = string(o.GetUID()) + " " + o.GetResourceVersion()
			}
		}
	}
	return all
}

// verify wants the cluster to be what it was at the backup, in everybody's eyes.
func (w *world) verify(t *testing.T) {
	t.Helper()
	for _, h := range w.Hosts {
		w.AwaitHost(t, h)
		if now := w.all(t, h); !maps.Equal(now, w.objects) {
			t.Errorf("%s: %s", h.Spec.Name, difference(w.objects, now))
		}
	}
	last := w.Hosts[len(w.Hosts)-1]
	s, err := w.Client(t, last).CoreV1().Secrets("shop").Get(t.Context(), "key", metav1.GetOptions{})
	if err != nil || string(s.Data["k"]) != secret {
		t.Errorf("the Secret: %v", err)
	}
	w.verifyToken(t, last)
	w.verifyInformer(t)
}

func difference(want, got map[string]string) string {
	var b strings.Builder
	for name, state := range want {
		if got[name] != state {
			fmt.Fprintf(&b, "\n  %s is %q, was %q", name, got[name], state)
		}
	}
	for name, state := range got {
		if want[name] == "" {
			fmt.Fprintf(&b, "\n  %s (%s) is newer than the backup", name, state)
		}
	}
	return b.String()
}

// verifyToken wants a token from before to be believed.
func (w *world) verifyToken(t *testing.T, h *hosttest.Host) {
	t.Helper()
	config := w.Config(h)
	config.CertData, config.KeyData, config.BearerToken = nil, nil, w.token
	client, err := kubernetes.NewForConfig(config)
	check(t, err)
	me, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || me.Status.UserInfo.Username != "system:serviceaccount:shop:clerk" {
		t.Errorf("the token of a service account: %v, %+v", err, me)
	}
}

// verifyInformer waits until an informer that never stopped sees what is there.
func (w *world) verifyInformer(t *testing.T) {
	t.Helper()
	want := map[string]string{}
	found, err := w.Client(t, w.Hosts[0]).CoreV1().ConfigMaps("shop").List(t.Context(), metav1.ListOptions{})
	check(t, err)
	for _, m := range found.Items {
		want[m.Name] = m.Data["colour"]
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) { // it waits longer and longer between its attempts
		got := map[string]string{}
		for _, o := range w.seen.List() {
			m := o.(*corev1.ConfigMap)
			got[m.Name] = m.Data["colour"]
		}
		if maps.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			t.Errorf("a running informer believes %v, there is %v", got, want)
			return
		}
	}
}

// inTheClear looks for the secret on every disk, and on the station's also for the key of the certificate authority.
func (w *world) inTheClear(ctx context.Context, s *Station) []string {
	var found []string
	err := filepath.WalkDir(s.Dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it may be gone again
		}
		text, _ := os.ReadFile(name)
		for _, m := range []string{secret, w.marker} {
			if bytes.Contains(text, []byte(m)) {
				found = append(found, "the station's "+name)
			}
		}
		return nil
	})
	if err != nil {
		found = append(found, err.Error())
	}
	for _, h := range w.Hosts {
		if out, _ := h.Disk(ctx, "grep", "-rlF", "--binary-files=text", secret, ".").Output(); len(out) > 0 {
			found = append(found, h.Spec.Name+": "+string(out))
		}
	}
	return found
}

// watchDisks looks again and again until stop is called, which reports what was found.
func (w *world) watchDisks(t *testing.T, s *Station) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []string)
	looks := 0
	go func() {
		var found []string
		for ctx.Err() == nil {
			found = append(found, w.inTheClear(context.WithoutCancel(ctx), s)...)
			looks++
			select {
			case <-ctx.Done():
			case <-time.After(3 * time.Second): // reading everything all the time would be all that the machine does
			}
		}
		done <- found
	}()
	return func() {
		t.Helper()
		cancel()
		if found := <-done; len(found) > 0 {
			slices.Sort(found)
			t.Errorf("in the clear: %v", slices.Compact(found))
		}
		t.Logf("looked at every disk %d times", looks)
	}
}
