// SPDX-License-Identifier: Apache-2.0

package seed

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/gcsserver"
	"hozon.dev/hozon/test/s3server"
)

// region is the one of the documents that name one, amazon is where it answers.
const (
	region = "ap-northeast-1"
	amazon = "s3.dualstack." + region + ".amazonaws.com"
)

// user types what the documents say into a shell, in a folder with hozon and kubectl on the path.
type user struct {
	t       *testing.T
	cluster *clustertest.Cluster
	dir     string
	env     []string

	aws    *s3server.Server // as the region's S3
	minio  *s3server.Server // as somebody's own
	inside string           // minio's endpoint for pods
	gcs    *gcsserver.Server
	google *google
}

func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{
		t: t, cluster: clustertest.Start(t, clustertest.Options{Node: true, UnsafeNoFsync: true}), dir: t.TempDir(),
		aws: s3server.StartIn(t, region, "--virtual-domain", amazon), minio: s3server.StartIn(t, "minio"), gcs: gcsserver.Start(t),
	}
	u.google = newGoogle(t, u.gcs, func() string {
		out, err := u.cluster.Kubectl(t.Context(), "get", "serviceaccount", "velero", "-n", "velero", "-o", `jsonpath={.metadata.annotations.iam\.gke\.io/gcp-service-account}`).Output()
		if err != nil {
			t.Error(err)
		}
		return string(out)
	})
	net := newInternet(t, map[string]http.Handler{amazon: forward(t, u.aws.Endpoint), "googleapis.com": u.google})
	u.inside = "http://" + u.reach(u.minio.Endpoint)
	u.tools(net)
	u.images(net)
	return u
}

// forward hands requests on to a server, with the host that they were made for: it is signed.
func forward(t *testing.T, endpoint string) http.Handler {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
}

// reach is the address of a server of this machine as pods see it.
func (u *user) reach(endpoint string) string {
	u.t.Helper()
	inside, err := u.cluster.Reach(u.t.Context(), strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		u.t.Fatal(err)
	}
	return inside
}

// tools puts the programs on the user's path.
func (u *user) tools(net *internet) {
	u.t.Helper()
	bin := filepath.Join(u.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		u.t.Fatal(err)
	}
	build := exec.CommandContext(u.t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(bin, "hozon"), "hozon.dev/hozon/cmd/hozon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // nothing but the program is in the image
	if out, err := build.CombinedOutput(); err != nil {
		u.t.Fatalf("build: %v\n%s", err, out)
	}
	if err := os.Symlink(u.cluster.KubectlPath(), filepath.Join(bin, "kubectl")); err != nil {
		u.t.Fatal(err)
	}
	ca := u.file("ca.crt", net.ca())
	u.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+u.dir, "KUBECONFIG="+u.cluster.Kubeconfig(),
		"HTTPS_PROXY="+net.proxy.URL, "SSL_CERT_FILE="+ca, "TZ=Asia/Tokyo")
}

// images gives the node what it would pull: our image under the name that install gives it, and the plugins of the documents, which here are one of the tests'.
func (u *user) images(net *internet) {
	u.t.Helper()
	plugin, err := daemon.Build(u.t.Context(), "tools/build", "test/plugin/program", ".", "velero-plugin-example")
	if err != nil {
		u.t.Fatal(err)
	}
	name := strings.TrimSpace(u.sh(`hozon install --provider aws --bucket b --no-secret --dry-run -o yaml | sed -n 's/^ *image: //p'`))
	all := []clustertest.Image{{
		Name: "docker.io/library/" + name, User: "65532:65532",
		Files: []clustertest.File{{Path: "hozon", From: filepath.Join(u.dir, "bin", "hozon")}, {Path: "etc/ssl/certs/ca-certificates.crt", Content: net.ca(), Mode: 0o644}},
		Env:   []string{"HTTPS_PROXY=http://" + u.reach(net.proxy.URL), "NO_PROXY=10.96.0.0/16", "GCE_METADATA_HOST=" + u.reach(u.google.metadata().URL)},
	}}
	for _, name := range []string{"aws:v1.2.0", "aws:v1.1.0", "gcp:v1.2.0"} {
		all = append(all, clustertest.Image{
			Name: "docker.io/velero/velero-plugin-for-" + name, User: "65532:65532", Entrypoint: []string{"/bin/cp", "/plugins/velero-plugin", "/target/"},
			Files: []clustertest.File{{Path: "bin/cp", From: u.cluster.Busybox()}, {Path: "plugins/velero-plugin", From: plugin}},
		})
	}
	busybox, err := u.cluster.BusyboxImage(u.t.Context())
	if err != nil {
		u.t.Fatal(err)
	}
	for _, i := range append(all, busybox) {
		if err := u.cluster.LoadImage(u.t.Context(), i); err != nil {
			u.t.Fatal(err)
		}
	}
}

// file writes a file of the user's folder.
func (u *user) file(name, text string) string {
	u.t.Helper()
	path := filepath.Join(u.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return path
}

// credentials writes ./credentials-velero in the form of the documents.
func (u *user) credentials(s *s3server.Server) {
	u.t.Helper()
	u.file("credentials-velero", "[default]\naws_access_key_id="+s.AccessKey+"\naws_secret_access_key="+s.SecretKey+"\n")
}

// sh runs a script of bash, which must succeed, and returns what it printed.
func (u *user) sh(script string) string {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = u.dir, u.env
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		state, _ := exec.Command(u.cluster.KubectlPath(), "--kubeconfig", u.cluster.Kubeconfig(), "-n", "velero", "describe", "pods,bsl,backups").CombinedOutput()
		log, _ := exec.Command(u.cluster.KubectlPath(), "--kubeconfig", u.cluster.Kubeconfig(), "-n", "velero", "logs", "deployment/velero", "--tail=30").CombinedOutput()
		u.t.Fatalf("%s\n%v\n%s%s\n%s\n%s", script, err, out, errs.String(), state, log)
	}
	return string(out)
}

// shows wants a text to have all lines, with any room between the words.
func (u *user) shows(text string, lines ...string) {
	u.t.Helper()
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, line := range lines {
		if !strings.Contains(squeeze(text), squeeze(line)) {
			u.t.Errorf("%q is not in:\n%s", line, text)
		}
	}
}
