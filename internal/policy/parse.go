// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"

	"hozon.dev/hozon/internal/fail"
)

// Parse reads the data of a ConfigMap, of which name is the namespace and the name. All that is wrong is one error, fail.Invalid.
func Parse(name string, data map[string]string) (Policies, error) { return parseAll(name, data, false) }

// ParseForRestore reads the data of a ConfigMap that a Restore names: as Parse, and only filters are taken.
func ParseForRestore(name string, data map[string]string) (Policies, error) {
	return parseAll(name, data, true)
}

func parseAll(name string, data map[string]string, restore bool) (Policies, error) {
	if len(data) != 1 {
		return Policies{}, fail.Errorf(fail.Invalid, "ConfigMap %s has %d keys: expected exactly one, with the policies", name, len(data))
	}
	p := parser{restore: restore}
	for key, text := range data {
		p.where = fmt.Sprintf("ConfigMap %s, key %s", name, key)
		if n := p.parse(text); n != nil {
			p.document(n)
		} else if len(p.errs) == 0 {
			p.errs = append(p.errs, fmt.Errorf("%s: expected version: v1 and policies, and it is empty", p.where))
		}
	}
	return p.out, p.err()
}

type parser struct {
	strict
	restore bool // the policies are a Restore's
	out     Policies
}

// ofBackup keeps what is no matter of a Restore's policies from being read there.
func (p *parser) ofBackup(what string, read func(*yaml.Node)) func(*yaml.Node) {
	if !p.restore {
		return read
	}
	return func(n *yaml.Node) {
		p.wrong(n, "%s: it is for backups: expected clusterScopedFilterPolicy or namespacedFilterPolicies", what)
	}
}

func (p *parser) document(n *yaml.Node) {
	version := ""
	p.mapping(n, "policies", fields{
		"version":                   func(n *yaml.Node) { version = p.oneOf(n, "version", []string{"v1"}) },
		"volumePolicies":            p.ofBackup("volumePolicies", func(n *yaml.Node) { p.each(n, "volumePolicies", p.rule) }),
		"includeExcludePolicy":      p.ofBackup("includeExcludePolicy", p.lists),
		"clusterScopedFilterPolicy": p.clusterFilters,
		"namespacedFilterPolicies":  p.namespaceFilters,
	})
	if version == "" && len(p.errs) == 0 {
		p.wrong(n, "version is missing: expected v1")
	}
}

func (p *parser) lists(n *yaml.Node) {
	list := func(to *[]string, what string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			p.each(n, what, func(c *yaml.Node) {
				text := p.text(c, what)
				if strings.Contains(text, "*") {
					p.wrong(c, "%s: %q: expected a resource, and no *", what, text)
				}
				*to = append(*to, text)
			})
		}
	}
	l := &p.out.Lists
	p.mapping(n, "includeExcludePolicy", fields{
		"includedClusterScopedResources":   list(&l.IncludedClusterScoped, "includedClusterScopedResources"),
		"excludedClusterScopedResources":   list(&l.ExcludedClusterScoped, "excludedClusterScopedResources"),
		"includedNamespaceScopedResources": list(&l.IncludedNamespaceScoped, "includedNamespaceScopedResources"),
		"excludedNamespaceScopedResources": list(&l.ExcludedNamespaceScoped, "excludedNamespaceScopedResources"),
	})
	for _, pair := range [][2][]string{{l.IncludedClusterScoped, l.ExcludedClusterScoped}, {l.IncludedNamespaceScoped, l.ExcludedNamespaceScoped}} {
		for _, name := range pair[0] {
			for _, other := range pair[1] {
				if name == other {
					p.wrong(n, "includeExcludePolicy: %q is both included and excluded", name)
				}
			}
		}
	}
}

// rule reads a volume policy.
func (p *parser) rule(n *yaml.Node) {
	r := Rule{Where: p.at(n)}
	p.mapping(n, "volumePolicies", fields{
		"conditions": func(n *yaml.Node) { r.conditions = p.conditions(n) },
		"action": func(n *yaml.Node) {
			p.mapping(n, "action", fields{
				"type": func(n *yaml.Node) {
					r.Action = Action(p.oneOf(n, "action.type", []string{string(Skip), string(FSBackup), string(Snapshot), string(Custom)}))
				},
				"parameters": func(*yaml.Node) {}, // of whoever carries a custom action out
			})
		},
	})
	if r.Action == "" {
		p.wrong(n, "volumePolicies: expected action.type: skip, fs-backup, snapshot or custom")
	}
	p.out.Rules = append(p.out.Rules, r)
}

func (p *parser) conditions(n *yaml.Node) []condition {
	var out []condition
	add := func(c condition) { out = append(out, c) }
	set := func(what string, of func(Volume) string) func(*yaml.Node) {
		return func(n *yaml.Node) { add(oneOf(p.texts(n, what), of)) }
	}
	p.mapping(n, "conditions", fields{
		"capacity":     func(n *yaml.Node) { add(p.capacity(n)) },
		"storageClass": set("storageClass", func(v Volume) string { return v.StorageClass }),
		"nfs": func(n *yaml.Node) {
			var server, path string
			p.mapping(n, "nfs", fields{
				"server": func(n *yaml.Node) { server = p.text(n, "nfs.server") },
				"path":   func(n *yaml.Node) { path = p.text(n, "nfs.path") },
			})
			add(func(v Volume) bool {
				return v.NFS != nil && (server == "" || server == v.NFS.Server) && (path == "" || path == v.NFS.Path)
			})
		},
		"csi": func(n *yaml.Node) { add(p.csi(n)) },
		"volumeTypes": func(n *yaml.Node) {
			var types []string
			p.each(n, "volumeTypes", func(c *yaml.Node) { types = append(types, p.oneOf(c, "volumeTypes", volumeTypes)) })
			add(oneOf(types, func(v Volume) string { return v.Type }))
		},
		"pvcLabels": func(n *yaml.Node) {
			labels := p.pairs(n, "pvcLabels")
			add(func(v Volume) bool { return subset(labels, v.Claim.Labels) })
		},
		"pvcPhase":      set("pvcPhase", func(v Volume) string { return v.Claim.Phase }),
		"pvcVolumeMode": func(n *yaml.Node) { add(p.mode(n)) },
		"pvcAccessModes": func(n *yaml.Node) {
			modes := p.texts(n, "pvcAccessModes")
			add(func(v Volume) bool { return sameSet(modes, v.Claim.AccessModes) })
		},
	})
	return out
}

func (p *parser) mode(n *yaml.Node) condition {
	mode := p.oneOf(n, "pvcVolumeMode", []string{"Filesystem", "Block"})
	return func(v Volume) bool { return v.Claim.VolumeMode == mode }
}

func (p *parser) csi(n *yaml.Node) condition {
	var driver string
	attributes := map[string]string{}
	p.mapping(n, "csi", fields{
		"driver":           func(n *yaml.Node) { driver = p.text(n, "csi.driver") },
		"volumeAttributes": func(n *yaml.Node) { attributes = p.pairs(n, "csi.volumeAttributes") },
	})
	return func(v Volume) bool {
		return v.CSI != nil && (driver == "" || driver == v.CSI.Driver) && subset(attributes, v.CSI.VolumeAttributes)
	}
}

// capacity reads "low,high", of which either may be missing; both are within.
func (p *parser) capacity(n *yaml.Node) condition {
	text := p.text(n, "capacity")
	low, high, ok := strings.Cut(text, ",")
	if !ok {
		p.wrong(n, `capacity: %q: expected "low,high", such as "1Gi,10Gi", "1Gi," or ",10Gi"`, text)
		return func(Volume) bool { return false }
	}
	var bounds [2]*resource.Quantity
	for i, s := range []string{low, high} {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		q, err := resource.ParseQuantity(s)
		if err != nil {
			p.wrong(n, "capacity: %q: expected a quantity, such as 10Gi", s)
			continue
		}
		bounds[i] = &q
	}
	if bounds[0] != nil && bounds[1] != nil && bounds[0].Cmp(*bounds[1]) > 0 {
		p.wrong(n, "capacity: %q: expected the lower bound first", text)
	}
	return func(v Volume) bool {
		return v.Capacity != nil && (bounds[0] == nil || bounds[0].Cmp(*v.Capacity) <= 0) && (bounds[1] == nil || bounds[1].Cmp(*v.Capacity) >= 0)
	}
}
