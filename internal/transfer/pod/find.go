// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
)

// Mount is a volume as a container sees it.
type Mount struct {
	Pod       string `json:"pod"`
	Phase     string `json:"phase"`
	Container string `json:"container"`
	Volume    string `json:"volume"`
	Kind      string `json:"kind"`
	Path      string `json:"path"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	Claim     string `json:"claim,omitempty"`
	Size      string `json:"size,omitempty"`
	Warning   string `json:"warning,omitempty"`
}

// Find lists the mounts of a namespace's pods, and the claims that no pod mounts (with Pod empty). Service account tokens are left out.
func Find(ctx context.Context, c *cluster.Client, namespace string) ([]Mount, error) {
	if _, err := get[corev1.Namespace](ctx, c, namespaces, "", namespace); fail.Is(err, fail.NotFound) {
		return nil, fail.Errorf(fail.NotFound, "there is no namespace %s", namespace)
	}
	running, err := list[corev1.Pod](ctx, c, pods, namespace)
	if err != nil {
		return nil, err
	}
	all, err := list[corev1.PersistentVolumeClaim](ctx, c, claims, namespace)
	if err != nil {
		return nil, err
	}
	sizes := map[string]string{}
	for _, claim := range all {
		sizes[claim.Name] = size(claim)
	}
	var found []Mount
	mounted := map[string]bool{}
	for _, pod := range running {
		for _, m := range mountsOf(pod, sizes) {
			found = append(found, m)
			mounted[m.Claim] = true
		}
	}
	for _, claim := range all {
		if !mounted[claim.Name] {
			found = append(found, Mount{Kind: "claim", Claim: claim.Name, Size: size(claim), Phase: string(claim.Status.Phase)})
		}
	}
	slices.SortFunc(found, func(a, b Mount) int {
		return cmp.Or(cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Container, b.Container), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Claim, b.Claim))
	})
	return found, nil
}

// size is what a claim has or, before it is bound, asks for.
func size(claim corev1.PersistentVolumeClaim) string {
	if q, ok := claim.Status.Capacity[corev1.ResourceStorage]; ok {
		return q.String()
	}
	q := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return q.String()
}

func mountsOf(pod corev1.Pod, sizes map[string]string) []Mount {
	var found []Mount
	for _, c := range pod.Spec.Containers {
		for _, m := range c.VolumeMounts {
			i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
			if i < 0 || m.MountPath == "/var/run/secrets/kubernetes.io/serviceaccount" {
				continue
			}
			v := pod.Spec.Volumes[i]
			one := Mount{
				Pod: pod.Name, Phase: string(pod.Status.Phase), Container: c.Name, Volume: m.Name, Path: m.MountPath,
				ReadOnly: m.ReadOnly, Kind: kind(v), Warning: warning(c, m.MountPath),
			}
			if v.PersistentVolumeClaim != nil {
				one.Claim = v.PersistentVolumeClaim.ClaimName
				one.Size = sizes[one.Claim]
			}
			found = append(found, one)
		}
	}
	return found
}

func kind(v corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return "claim"
	case v.EmptyDir != nil:
		return "emptyDir"
	case v.HostPath != nil:
		return "hostPath"
	case v.ConfigMap != nil:
		return "configMap"
	case v.Secret != nil:
		return "secret"
	case v.Projected != nil:
		return "projected"
	case v.Ephemeral != nil:
		return "ephemeral"
	case v.NFS != nil:
		return "nfs"
	case v.CSI != nil:
		return "csi"
	}
	return "other"
}

// A database's files, copied while it runs, are not of one moment.
type database struct {
	name   string
	images []string // parts of the image's last path component
	dirs   []string // where it keeps its files, by itself or in common images
	dump   string
}

var databases = []database{
	{"PostgreSQL", []string{"postgres", "timescale", "postgis"}, []string{"/var/lib/postgresql", "/var/lib/pgsql", "/bitnami/postgresql", "/pgdata"}, "pg_dumpall, or pg_basebackup"},
	{"MySQL", []string{"mysql", "mariadb", "percona"}, []string{"/var/lib/mysql", "/bitnami/mysql", "/bitnami/mariadb"}, "mysqldump --single-transaction --all-databases, or mariadb-backup"},
	{"MongoDB", []string{"mongo"}, []string{"/data/db", "/var/lib/mongodb", "/bitnami/mongodb"}, "mongodump, or a pre hook with db.fsyncLock()"},
	{"Redis", []string{"redis", "valkey"}, nil, "redis-cli BGSAVE, then copy dump.rdb"},
	{"etcd", []string{"etcd"}, []string{"/var/lib/etcd"}, "etcdctl snapshot save"},
	{"Elasticsearch", []string{"elasticsearch", "opensearch"}, []string{"/usr/share/elasticsearch/data", "/usr/share/opensearch/data"}, "its snapshot API"},
	{"Cassandra", []string{"cassandra", "scylla"}, []string{"/var/lib/cassandra", "/var/lib/scylla"}, "nodetool snapshot"},
	{"ClickHouse", []string{"clickhouse"}, []string{"/var/lib/clickhouse"}, "BACKUP DATABASE, or clickhouse-backup"},
	{"InfluxDB", []string{"influxdb"}, []string{"/var/lib/influxdb"}, "influx backup"},
	{"CouchDB", []string{"couchdb"}, []string{"/opt/couchdb/data"}, "replication to another server"},
	{"Neo4j", []string{"neo4j"}, []string{"/var/lib/neo4j"}, "neo4j-admin database dump"},
	{"SQL Server", []string{"mssql"}, []string{"/var/opt/mssql"}, "BACKUP DATABASE"},
	{"Kafka", []string{"kafka"}, []string{"/var/lib/kafka", "/bitnami/kafka"}, "replication to another cluster (MirrorMaker)"},
	{"RabbitMQ", []string{"rabbitmq"}, []string{"/var/lib/rabbitmq"}, "rabbitmqctl export_definitions; for messages, stop the node"},
}

// warning is what to say about a mount that a copy does not save.
func warning(c corev1.Container, mount string) string {
	image, _, _ := strings.Cut(path.Base(c.Image), ":")
	image, _, _ = strings.Cut(image, "@")
	for _, d := range databases {
		by := func(part string) bool { return strings.Contains(image, part) }
		in := func(dir string) bool { return mount == dir || strings.HasPrefix(mount, dir+"/") }
		if slices.ContainsFunc(d.dirs, in) || slices.ContainsFunc(d.images, by) && dataLike(mount) {
			return d.name + ": a copy of its files while it runs is no backup; use " + d.dump
		}
	}
	return ""
}

// dataLike leaves out what a database reads only.
func dataLike(mount string) bool {
	return !strings.Contains(mount, "conf") && !strings.HasPrefix(mount, "/etc") && !strings.Contains(mount, "initdb")
}
