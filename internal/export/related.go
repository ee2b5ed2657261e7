// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
)

const (
	bindings = "clusterrolebindings.rbac.authorization.k8s.io"
	volumes  = "persistentvolumes"
)

// namespaces writes the Namespaces themselves, and finds the cluster-wide rights of their service accounts.
func (r *run) namespaces(ctx context.Context, from Source) error {
	problems, err := from.Cluster(ctx, []string{namespaceType.Resource, bindings}, func(it Item) error {
		if it.Ref.GroupResource() == bindings {
			return r.binding(ctx, it)
		}
		if !r.spaces[it.Ref.Name] && (len(r.o.Namespaces) > 0 || r.o.Selector != nil || ofCluster(it.Ref.Name)) || it.Head.Terminating {
			return nil
		}
		_, err := r.write(ctx, it)
		return err
	})
	r.result.Problems = append(r.result.Problems, problems...)
	if err != nil {
		return err
	}
	return r.bare()
}

// bare writes Namespaces that could not be read: without them nothing can be applied.
func (r *run) bare() error {
	for ns := range r.spaces {
		ref := object.Ref{Resource: "namespaces", Name: ns}
		if r.put[ref] {
			continue
		}
		o := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}}
		path := manifest.Path(ref)
		if err := r.to.Put(path, false, manifest.Encode(nil, o)); err != nil {
			return err
		}
		r.wrote(Item{Ref: ref, Type: namespaceType}, path, nil)
		r.result.Notes = append(r.result.Notes, fmt.Sprintf("the Namespace %s could not be read: its labels and annotations are missing", ns))
	}
	return nil
}

// binding takes along, or tells of, a binding that gives a service account of the export rights in the whole cluster.
func (r *run) binding(ctx context.Context, it Item) error {
	if by, _ := it.Head.Label("kubernetes.io/bootstrapping"); by != "" {
		return nil
	}
	var b struct {
		Subjects []struct {
			Kind      string `json:"kind"`
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"subjects"`
	}
	if err := utiljson.Unmarshal(it.Body, &b); err != nil {
		return fmt.Errorf("decode %s: %w", it.Ref, err)
	}
	for i, s := range b.Subjects {
		if s.Kind != "ServiceAccount" || !r.spaces[s.Namespace] {
			continue
		}
		if r.o.WithCluster {
			_, err := r.write(ctx, it)
			return err
		}
		r.result.Findings = append(r.result.Findings, Finding{
			Object: it.Ref.String(), Kind: manifest.ClusterScoped, Field: fmt.Sprintf("subjects[%d]", i), needs: clone(it.Ref),
			Text: fmt.Sprintf("gives the service account %s/%s rights in the whole cluster", s.Namespace, s.Name),
		})
		return nil
	}
	return nil
}

// related writes the cluster-scoped objects that are needed.
func (r *run) related(ctx context.Context, from Source) error {
	wanted := map[object.Ref]bool{}
	kinds := map[string]bool{}
	for _, f := range r.result.Findings {
		if f.needs.Name != "" {
			wanted[f.needs], kinds[f.needs.GroupResource()] = true, true
		}
	}
	for def := range r.kinds {
		wanted[def], kinds[definitions] = true, true
	}
	kinds[volumes] = true
	var list []string
	for gr := range kinds {
		list = append(list, gr)
	}
	slices.Sort(list)
	problems, err := from.Cluster(ctx, list, func(it Item) error {
		if !wanted[it.Ref] && !r.standsBehind(it) || it.Head.Terminating {
			return nil
		}
		if reason, ok := object.Generated(it.Ref, it.Head); ok {
			r.left(it.Ref, reason)
			return nil
		}
		_, err := r.write(ctx, it)
		return err
	})
	r.result.Problems = append(r.result.Problems, problems...)
	return err
}

// standsBehind reports whether an object is a volume that somebody made and that holds a claim of the export. One that was provisioned, or goes
// with its claim, is provisioned anew.
func (r *run) standsBehind(it Item) bool {
	if it.Ref.GroupResource() != volumes {
		return false
	}
	if _, ok := it.Head.Annotation("pv.kubernetes.io/provisioned-by"); ok {
		return false
	}
	var pv struct {
		Spec struct {
			ClaimRef struct {
				Namespace string `json:"namespace"`
			} `json:"claimRef"`
			Policy string `json:"persistentVolumeReclaimPolicy"`
		} `json:"spec"`
	}
	err := utiljson.Unmarshal(it.Body, &pv)
	return err == nil && r.spaces[pv.Spec.ClaimRef.Namespace] && pv.Spec.Policy != "Delete"
}

// clone keeps a reference beyond the body that it points into.
func clone(r object.Ref) object.Ref {
	return object.Ref{Group: strings.Clone(r.Group), Resource: strings.Clone(r.Resource), Namespace: strings.Clone(r.Namespace), Name: strings.Clone(r.Name)}
}
