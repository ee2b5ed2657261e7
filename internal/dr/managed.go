// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// bareCluster is what is read of the object by which bmctl's cluster manages another one, or itself.
type bareCluster struct {
	conditioned `json:",inline"`
	Metadata    struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		ControlPlane struct {
			NodePoolSpec struct {
				Nodes []struct {
					Address string `json:"address"`
				} `json:"nodes"`
			} `json:"nodePoolSpec"`
		} `json:"controlPlane"`
		NodeAccess struct {
			LoginUser string `json:"loginUser"`
		} `json:"nodeAccess"`
	} `json:"spec"`
}

const bareClusters = "/apis/baremetal.cluster.gke.io/v1/clusters"

// keySecret is where bmctl keeps the private key by which it logs in to a cluster's machines, in the namespace of the cluster's object.
const keySecret, keyName = "ssh-key", "id_rsa"

// ManagedCluster is a cluster that bmctl manages, as the cluster that manages it knows it.
type ManagedCluster struct {
	Machines    []host.Spec // of its control plane, by their addresses
	Reconciling bool        // its machines are being changed
}

// Managed asks the cluster that manages another one for it. fail.NotFound: it manages no such cluster.
func Managed(ctx context.Context, admin *rest.Config, name string) (*ManagedCluster, error) {
	s, err := newServer(rest.CopyConfig(admin))
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []bareCluster `json:"items"`
	}
	if err := s.get(ctx, bareClusters, &list); err != nil {
		return nil, fmt.Errorf("ask the admin cluster for its clusters: %w", err)
	}
	for _, c := range list.Items {
		if c.Metadata.Name == name {
			machines, err := c.machines(ctx, s)
			return &ManagedCluster{machines, c.holds("Reconciling")}, err
		}
	}
	return nil, fail.Errorf(fail.NotFound, "the admin cluster has no cluster %s", name)
}

func (c *bareCluster) machines(ctx context.Context, s *server) ([]host.Spec, error) {
	var secret struct {
		Data map[string][]byte `json:"data"`
	}
	err := s.get(ctx, "/api/v1/namespaces/"+c.Metadata.Namespace+"/secrets/"+keySecret, &secret)
	if err != nil && !fail.Is(err, fail.NotFound) {
		return nil, fmt.Errorf("read the SSH key of cluster %s: %w", c.Metadata.Name, err)
	}
	inv := host.Inventory{Access: host.Access{User: c.Spec.NodeAccess.LoginUser, KeyText: host.KeyText(secret.Data[keyName])}} // without a key it is the agent's
	inv.Access.Sudo = inv.Access.User != "" && inv.Access.User != "root"
	for _, n := range c.Spec.ControlPlane.NodePoolSpec.Nodes {
		inv.Hosts = append(inv.Hosts, host.Spec{Name: n.Address, Address: n.Address, Roles: []host.Role{host.ControlPlane}})
	}
	if err := inv.Complete(); err != nil {
		return nil, fmt.Errorf("cluster %s of the admin cluster: %w", c.Metadata.Name, err)
	}
	return inv.Hosts, nil
}
