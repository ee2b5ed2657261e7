// SPDX-License-Identifier: Apache-2.0

package law

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/store"
)

// pair is the rule of the writer: gadget n is made only after ConfigMap n exists. In every single moment of
// the cluster, each gadget has its ConfigMap.
const pair = "n%06d"

// write makes pairs until the context ends, and closes started after the first.
func write(ctx context.Context, s *side, namespace string, started chan<- struct{}) error {
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf(pair, n)
		cm := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"namespace":%q}}`, name, namespace)
		gadget := fmt.Sprintf(`{"apiVersion":"law.example.com/v1","kind":"Gadget","metadata":{"name":%q,"namespace":%q}}`, name, namespace)
		if _, err := s.client.Create(ctx, s.types["configmaps"], namespace, []byte(cm), cluster.WriteOptions{}); err != nil {
			return err
		}
		if _, err := s.client.Create(ctx, s.types["gadgets.law.example.com"], namespace, []byte(gadget), cluster.WriteOptions{}); err != nil {
			return err
		}
		if n == 0 {
			close(started)
		}
	}
	return nil
}

// orphans counts the gadgets without their ConfigMap.
func orphans(configMaps, gadgets map[string]bool) int {
	n := 0
	for name := range gadgets {
		if !configMaps[name] {
			n++
		}
	}
	return n
}

// TestBackupIsOneMoment takes 20 backups while pairs are made, and in the same time lists the two kinds one after the other, as a tool
// without a common revision does. It takes about ten seconds: the writer must get ahead of the lists.
func TestBackupIsOneMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	s := newSide(t)
	const namespace = "moment"
	body := `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + namespace + `"}}`
	if _, err := s.client.Create(t.Context(), s.types["namespaces"], "", []byte(body), cluster.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, started := make(chan error, 1), make(chan struct{})
	go func() { ended <- write(ctx, s, namespace, started) }()
	select {
	case <-started:
	case err := <-ended:
		t.Fatal(err)
	}

	torn := 0
	for i := range 20 {
		cms, gadgets := backedUp(t, s, namespace, fmt.Sprintf("b%d", i))
		if n := orphans(cms, gadgets); n > 0 {
			t.Errorf("backup %d holds %d gadgets without their ConfigMap, of %d", i, n, len(gadgets))
		}
		if len(gadgets) == 0 {
			t.Fatal("the backup holds no gadgets")
		}
		cms = plain(t, s, "configmaps", namespace)
		if orphans(cms, plain(t, s, "gadgets.law.example.com", namespace)) > 0 {
			torn++
		}
	}
	stop()
	if err := <-ended; err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	if torn == 0 {
		t.Error("20 plain lists were consistent too: the test does not show anything")
	}
	t.Logf("20 backups of one moment each; %d of 20 plain lists were torn", torn)
}

func backedUp(t *testing.T, s *side, namespace, name string) (configMaps, gadgets map[string]bool) {
	t.Helper()
	st, err := store.Open(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	asked := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "velero"},
		Spec:       velerov1.BackupSpec{IncludedNamespaces: []string{namespace}},
	}
	engine := backup.Engine{Cluster: s.client, Store: st, Now: time.Now, Tool: "law", Observe: quiet{}}
	if _, err := engine.Run(t.Context(), asked, backup.Options{Run: "1", Consistency: backup.Require}); err != nil {
		t.Fatal(err)
	}
	r, err := st.Open(t.Context(), store.Backup, name, store.Archive, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	configMaps, gadgets = map[string]bool{}, map[string]bool{}
	_, err = archive.Read(r, archive.ReadOptions{}, func(e archive.Entry) error {
		switch {
		case e.Ref.Resource == "configmaps" && strings.HasPrefix(e.Ref.Name, "n0"):
			configMaps[strings.Clone(e.Ref.Name)] = true
		case e.Ref.Resource == "gadgets":
			gadgets[strings.Clone(e.Ref.Name)] = true
		}
		return e.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	return configMaps, gadgets
}

// plain is one consistent list of one kind.
func plain(t *testing.T, s *side, resource, namespace string) map[string]bool {
	t.Helper()
	body, err := s.client.List(t.Context(), s.types[resource], cluster.ListOptions{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	names := map[string]bool{}
	_, err = object.Split(body, nil, func(item []byte) error {
		head, err := object.Scan(item)
		names[strings.Clone(head.Name)] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
