// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"hozon.dev/hozon/internal/fail"
)

// adminFiles are where layouts keep an administrator's kubeconfig.
var adminFiles = []string{
	"/etc/kubernetes/super-admin.conf", "/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml", "/etc/origin/master/admin.kubeconfig",
	"/etc/kubernetes/static-pod-resources/kube-apiserver-certs/secrets/node-kubeconfigs/localhost.kubeconfig",
}

// maxAnswer bounds what an API server may answer.
const maxAnswer = 64 << 20

// server is a running API server.
type server struct {
	client *http.Client
	base   string
}

// reach speaks to the API server of a machine, from there, as the administrator whose kubeconfig lies there.
func reach(ctx context.Context, m *machine) (*server, error) {
	there, err := m.Existing(ctx, adminFiles)
	if err != nil {
		return nil, err
	}
	if len(there) == 0 {
		return nil, fail.Errorf(fail.NotFound, "host %s has no administrator's kubeconfig in a known place", m.Name())
	}
	text, err := m.Run(ctx, "cat", "--", there[0])
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil {
		return nil, fail.Errorf(fail.Corrupt, "host %s: %s is no kubeconfig", m.Name(), there[0]) // its text may hold keys
	}
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return m.Dial(ctx, network, address)
	}
	return newServer(config)
}

func newServer(config *rest.Config) (*server, error) {
	config.Timeout = askTimeout
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &server{client, strings.TrimSuffix(config.Host, "/")}, nil
}

// get asks for a path; what is not there is fail.NotFound. into may be nil.
func (s *server) get(ctx context.Context, path string, into any) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return err
	}
	r, err := s.client.Do(q)
	if err != nil {
		return fail.Errorf(fail.Transient, "the API server does not answer: %w", err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case r.StatusCode == http.StatusNotFound:
		return fail.Errorf(fail.NotFound, "the API server has no %s", path)
	case r.StatusCode != http.StatusOK:
		return fmt.Errorf("the API server answers %s to %s%s", r.Status, path, said(text))
	case len(text) > maxAnswer:
		return fail.Errorf(fail.Unsupported, "the API server answers more than %d bytes to %s", maxAnswer, path)
	case into == nil:
		return nil
	}
	return json.Unmarshal(text, into)
}

// said are the checks of readyz that have failed.
func said(text []byte) string {
	var bad []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "[-]") && len(bad) < 10 {
			bad = append(bad, strings.TrimSpace(line))
		}
	}
	if len(bad) == 0 {
		return ""
	}
	return ": " + strings.Join(bad, "; ")
}
