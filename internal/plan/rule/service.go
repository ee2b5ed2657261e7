// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/object"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// servicePort is a port of a Service as its JSON has it.
type servicePort struct {
	Name     string `json:"name"`
	Port     int64  `json:"port"`
	Protocol string `json:"protocol"`
	NodePort int64  `json:"nodePort"`
}

type serviceSpec struct {
	Type                string        `json:"type"`
	Ports               []servicePort `json:"ports"`
	HealthCheckNodePort int64         `json:"healthCheckNodePort"`
	ClusterIP           string        `json:"clusterIP"`
}

// managed is one entry of managedFields.
type managed struct {
	FieldsV1 struct {
		Spec struct {
			Ports  map[string]map[string]json.RawMessage `json:"f:ports"`
			Health json.RawMessage                       `json:"f:healthCheckNodePort"`
			IP     json.RawMessage                       `json:"f:clusterIP"`
		} `json:"f:spec"`
	} `json:"fieldsV1"`
}

// chosen are the ports of a Service, and whether it is its address, that a user wrote: found in the last applied configuration and in managedFields,
// where the API server does not enter what it allocates.
type chosen struct {
	byKey   map[string]bool // "80/TCP"
	byValue map[int64]bool  // node ports of the last applied configuration
	health  bool
	address bool
}

func portKey(port int64, protocol string) string {
	if protocol == "" {
		protocol = "TCP"
	}
	return fmt.Sprintf("%d/%s", port, protocol)
}

func choices(applied string, fields []managed) chosen {
	c := chosen{byKey: map[string]bool{}, byValue: map[int64]bool{}}
	var last struct {
		Spec serviceSpec `json:"spec"`
	}
	// An annotation that somebody broke says nothing; it must not keep the Service from coming back.
	if json.Unmarshal([]byte(applied), &last) == nil {
		for _, p := range last.Spec.Ports {
			if p.NodePort != 0 {
				c.byValue[p.NodePort] = true
			}
		}
		c.health = last.Spec.HealthCheckNodePort != 0
		c.address = last.Spec.ClusterIP != ""
	}
	for _, m := range fields {
		c.health = c.health || m.FieldsV1.Spec.Health != nil
		c.address = c.address || m.FieldsV1.Spec.IP != nil
		for key, f := range m.FieldsV1.Spec.Ports {
			var p servicePort
			if f["f:nodePort"] != nil && json.Unmarshal([]byte(strings.TrimPrefix(key, "k:")), &p) == nil {
				c.byKey[portKey(p.Port, p.Protocol)] = true
			}
		}
	}
	return c
}

func (c chosen) keeps(p servicePort) bool {
	return p.NodePort != 0 && (c.byValue[p.NodePort] || c.byKey[portKey(p.Port, p.Protocol)])
}

func inspectService(_ object.Ref, head object.Head, body []byte, t *Traits) error {
	var s struct {
		Metadata struct {
			ManagedFields []managed `json:"managedFields"`
		} `json:"metadata"`
		Spec serviceSpec `json:"spec"`
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	applied, _ := head.Annotation(lastApplied)
	c := choices(applied, s.Metadata.ManagedFields)
	more := &More{FixedPorts: c.health && s.Spec.HealthCheckNodePort != 0 || c.address && s.Spec.ClusterIP != "" && s.Spec.ClusterIP != "None"}
	for _, p := range s.Spec.Ports {
		more.FixedPorts = more.FixedPorts || c.keeps(p)
		more.Allocates = more.Allocates || p.NodePort != 0 && !c.keeps(p)
	}
	if more.FixedPorts || more.Allocates {
		t.More = more
	}
	return nil
}

// transformService gives cluster IPs and node ports that no user chose back to the allocator. (Velero gives back every cluster IP.)
func transformService(o *unstructured.Unstructured, env Env, t *Taken) error {
	spec := find(o.Object, "spec")
	if spec == nil {
		return fmt.Errorf("service without a spec")
	}
	var fields []managed
	if raw, err := json.Marshal(t.ManagedFields); err == nil && len(t.ManagedFields) > 0 {
		_ = json.Unmarshal(raw, &fields) // entries of other shapes name no ports
	}
	c := choices(o.GetAnnotations()[lastApplied], fields)
	if ip, _ := spec["clusterIP"].(string); ip != "None" && !c.address {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	if env.PreserveNodePorts {
		return nil
	}
	for _, p := range maps(spec, "ports") {
		if !c.keeps(portOf(p)) {
			delete(p, "nodePort")
		}
	}
	if !c.health {
		delete(spec, "healthCheckNodePort")
	}
	return nil
}

func portOf(m map[string]any) servicePort {
	p := servicePort{}
	p.Name, _ = m["name"].(string)
	p.Port, _ = m["port"].(int64)
	p.Protocol, _ = m["protocol"].(string)
	p.NodePort, _ = m["nodePort"].(int64)
	return p
}

// inspectSlice leaves out what controllers make of a Service's pods or Endpoints, under random names: beside a restored one they would make
// another. (Velero creates them all the same.)
func inspectSlice(_ object.Ref, head object.Head, _ []byte, t *Traits) error {
	if by, _ := head.Label("endpointslice.kubernetes.io/managed-by"); strings.HasSuffix(by, "-controller.k8s.io") {
		t.Skip = "its controller makes it of the Service"
	}
	return nil
}

// inspectAddress leaves out the records of addresses that were allocated: the restored Services get others, and the API server
// removes a record that fits no Service. (Velero creates them all the same.)
func inspectAddress(_ object.Ref, head object.Head, _ []byte, t *Traits) error {
	if _, ok := head.Label("ipaddress.kubernetes.io/managed-by"); ok {
		t.Skip = "the API server makes one for each address that it allocates"
	}
	return nil
}
