// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"archive/tar"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
)

// maxV2 bounds the dump of a v2 store, which etcd itself keeps in memory.
const maxV2 = 512 << 20

// node is a key of a v2 store.
type node struct {
	Key   string `json:"key"`
	Dir   bool   `json:"dir"`
	Nodes []node `json:"nodes"`
}

func (n node) keys() int {
	if !n.Dir {
		return 1
	}
	all := 0
	for _, below := range n.Nodes {
		all += below.keys()
	}
	return all
}

// dumpV2 asks a member for all keys of its v2 store; nil if it has none, as every etcd since 3.6.
func (m *member) dumpV2(ctx context.Context) (dump []byte, keys int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 8*askTimeout)
	defer cancel()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return m.on.Dial(ctx, network, address)
	}
	var security *tls.Config
	if m.security != nil {
		security = m.security.Clone()
	}
	transport := &http.Transport{DialContext: dial, TLSClientConfig: security}
	defer transport.CloseIdleConnections()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(m.endpoint, "/")+"/v2/keys/?recursive=true&sorted=true&quorum=true", nil)
	if err != nil {
		return nil, 0, err
	}
	r, err := transport.RoundTrip(q)
	if err != nil {
		return nil, 0, err
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusNotFound {
		return nil, 0, nil
	}
	if r.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("it answers %s", r.Status)
	}
	dump, err = io.ReadAll(io.LimitReader(r.Body, maxV2+1))
	if err == nil && len(dump) > maxV2 {
		err = fail.Errorf(fail.Unsupported, "it has more than %d bytes", maxV2)
	}
	if err != nil {
		return nil, 0, err
	}
	var answer struct {
		Node node `json:"node"`
	}
	if err := json.Unmarshal(dump, &answer); err != nil {
		return nil, 0, fail.Errorf(fail.Corrupt, "it answers no JSON: %w", err)
	}
	answer.Node.Dir = true
	return dump, answer.Node.keys(), nil
}

// saveV2 saves a member's v2 store, if it has one with keys: what it answers, and its log and snapshots, which together with the v3 snapshot's database are a
// data folder. The log is copied after the v3 snapshot was taken, so that it holds all that the database does.
func (s *Saver) saveV2(ctx context.Context, m *member, out *bundle.Manifest, archive *bundle.Writer) error {
	dump, keys, err := m.dumpV2(ctx)
	if err != nil {
		return fmt.Errorf("host %s: read etcd's v2 store: %w", m.on.Name(), err)
	}
	if keys == 0 {
		return nil
	}
	s.Say("Saving %d keys of etcd's v2 store", keys)
	out.Etcd.V2Keys = keys
	if err := archive.AddBytes(bundle.V2+"keys.json", dump); err != nil {
		return err
	}
	data := m.on.process("etcd").flag("data-dir")
	if !path.IsAbs(data) {
		return fail.Errorf(fail.Unsupported, "host %s: etcd's --data-dir %q is no absolute path: its v2 store cannot be copied", m.on.Name(), data)
	}
	data = path.Clean(data)
	wal := data + "/member/wal"
	if dir := m.on.process("etcd").flag("wal-dir"); path.IsAbs(dir) {
		wal = path.Clean(dir)
	}
	for _, from := range []struct{ dir, suffix, to string }{{data + "/member/snap", ".snap", "member/snap/"}, {wal, ".wal", "member/wal/"}} {
		err := m.on.Growing(ctx, []string{from.dir}, func(h *tar.Header, r io.Reader) error {
			if h.Typeflag != tar.TypeReg || !strings.HasSuffix(h.Name, from.suffix) || path.Dir(h.Name) != strings.TrimPrefix(from.dir, "/") {
				return nil
			}
			h.Name = bundle.V2 + from.to + path.Base(h.Name)
			return archive.Add(h, r)
		})
		if err != nil {
			return fmt.Errorf("copy etcd's v2 store: %w", err)
		}
	}
	return nil
}
