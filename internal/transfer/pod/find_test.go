// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestWarning: of a database's folder it is said what to use instead of a copy, and of nothing else.
func TestWarning(t *testing.T) {
	for _, tt := range []struct{ image, mount, want string }{
		{"postgres:16", "/var/lib/postgresql/data", "pg_dumpall"},
		{"docker.io/bitnami/postgresql:16@sha256:00", "/bitnami/postgresql", "pg_dumpall"},
		{"registry:5000/team/app:1", "/var/lib/mysql", "mysqldump"}, // by where it keeps its files
		{"mariadb", "/data", "mysqldump"},                           // by the image
		{"mongo:7", "/data/db", "mongodump"},
		{"redis:7", "/data", "redis-cli BGSAVE"},
		{"quay.io/coreos/etcd:v3.6", "/var/lib/etcd", "etcdctl snapshot save"},
		{"opensearchproject/opensearch:2", "/usr/share/opensearch/data", "snapshot API"},
		{"postgres:16", "/etc/postgresql", ""},
		{"postgres:16", "/docker-entrypoint-initdb.d", ""},
		{"mysql:8", "/etc/mysql/conf.d", ""},
		{"nginx:1", "/usr/share/nginx/html", ""},
		{"mysql-exporter-free/web:1", "/uploads", ""}, // only the last part of the name counts
		{"jenkins", "/var/lib/jenkins", ""},
		{"nginx", "/var/lib/mysqlish", ""},
	} {
		got := warning(corev1.Container{Image: tt.image}, tt.mount)
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s at %s: %q, want %q", tt.image, tt.mount, got, tt.want)
		}
	}
}
