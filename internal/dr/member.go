// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"hozon.dev/hozon/internal/etcd"
	"hozon.dev/hozon/internal/fail"
)

// askTimeout bounds every question to a member but the snapshot itself.
const askTimeout = 15 * time.Second

// member is one member of etcd that answers, reached through the machine that it runs on.
type member struct {
	on       *machine
	endpoint string
	client   *clientv3.Client
	status   *clientv3.StatusResponse
	security *tls.Config // nil: it speaks no TLS
}

// anywhere makes an address to speak to of one that stands for all of a machine.
var anywhere = strings.NewReplacer("://0.0.0.0:", "://127.0.0.1:", "://[::]:", "://127.0.0.1:")

// connect speaks to the etcd of a machine over the address that it listens at there, with the certificates that its flags name.
func connect(ctx context.Context, m *machine) (*member, error) {
	p := m.process("etcd")
	if p == nil {
		return nil, fail.Errorf(fail.NotFound, "host %s: no etcd runs there", m.Name())
	}
	endpoint, _, _ := strings.Cut(cmp.Or(p.flag("listen-client-urls"), p.flag("advertise-client-urls"), "http://127.0.0.1:2379"), ",")
	security, err := clientTLS(ctx, m, p, endpoint)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, address string) (net.Conn, error) { return m.Dial(ctx, "tcp", address) }
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{anywhere.Replace(endpoint)}, TLS: security, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(dial)}, Context: ctx,
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: etcd at %s: %w", m.Name(), endpoint, err)
	}
	out := &member{on: m, endpoint: client.Endpoints()[0], client: client, security: security}
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if out.status, err = client.Status(ask, out.endpoint); err != nil {
		client.Close()
		return nil, fail.Errorf(fail.Transient, "host %s: etcd at %s does not answer: %w", m.Name(), endpoint, err)
	}
	return out, nil
}

// pairs are files with which a member lets somebody in, by CA, certificate and key: its API server's, its own, that with which it speaks to other members.
func pairs(m *machine, p *process) [][3]string {
	ca := p.flag("trusted-ca-file")
	all := [][3]string{{ca, p.flag("cert-file"), p.flag("key-file")}, {ca, p.flag("peer-cert-file"), p.flag("peer-key-file")}}
	if api := m.process("kube-apiserver"); api != nil && api.flag("etcd-certfile") != "" {
		all = append([][3]string{{cmp.Or(api.flag("etcd-cafile"), ca), api.flag("etcd-certfile"), api.flag("etcd-keyfile")}}, all...)
	}
	return slices.DeleteFunc(all, func(files [3]string) bool { return slices.Contains(files[:], "") })
}

// clientTLS reads certificates through the machine, the first ones that are good for a client.
func clientTLS(ctx context.Context, m *machine, p *process, endpoint string) (*tls.Config, error) {
	if !strings.HasPrefix(endpoint, "https://") {
		return nil, nil
	}
	var refused []error
	for _, files := range pairs(m, p) {
		security, err := readTLS(ctx, m, p, files)
		if err == nil {
			return security, nil
		}
		refused = append(refused, err)
	}
	if len(refused) > 0 {
		return nil, errors.Join(refused...)
	}
	return nil, fail.Errorf(fail.Unsupported, "host %s: etcd speaks TLS at %s, and no flag of it or of an API server there names the files to speak to it with", m.Name(), endpoint)
}

func readTLS(ctx context.Context, m *machine, p *process, files [3]string) (*tls.Config, error) {
	var pems [3][]byte
	for i, file := range files {
		var err error
		reader := p
		if api := m.process("kube-apiserver"); api != nil && files[1] == api.flag("etcd-certfile") {
			reader = api
		}
		if pems[i], err = m.read(ctx, reader, file); err != nil {
			return nil, err
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pems[0]) {
		return nil, fail.Errorf(fail.Corrupt, "host %s: %s holds no certificate", m.Name(), files[0])
	}
	pair, err := tls.X509KeyPair(pems[1], pems[2])
	if err != nil {
		return nil, fail.Errorf(fail.Corrupt, "host %s: %s and %s are no pair: %w", m.Name(), files[1], files[2], err)
	}
	if u := pair.Leaf.ExtKeyUsage; len(u) > 0 && !slices.Contains(u, x509.ExtKeyUsageClientAuth) && !slices.Contains(u, x509.ExtKeyUsageAny) {
		return nil, fail.Errorf(fail.Unsupported, "host %s: %s is a certificate for servers only", m.Name(), files[1])
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// healthiest is the member to take the snapshot from: no learner, with a leader, not corrupt, the furthest; the first of those by name. An alarm for want of
// space does not count: that is when somebody needs a backup.
func healthiest(all []*member) (*member, error) {
	fit := slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return m.trouble() != "" })
	if len(fit) == 0 {
		var why []string
		for _, m := range all {
			why = append(why, "host "+m.on.Name()+": "+m.trouble())
		}
		return nil, fail.Errorf(fail.Busy, "no member of etcd is healthy: %s", strings.Join(why, "; "))
	}
	return slices.MaxFunc(fit, func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.status.RaftAppliedIndex, b.status.RaftAppliedIndex), cmp.Compare(b.on.Name(), a.on.Name()))
	}), nil
}

// trouble says why nothing should be saved from a member; "" if there is no reason.
func (m *member) trouble() string {
	switch corrupt := slices.IndexFunc(m.status.Errors, func(e string) bool { return strings.Contains(e, "CORRUPT") }); {
	case m.status.IsLearner:
		return "it is still learning"
	case m.status.Leader == 0:
		return "it sees no leader: the quorum is lost"
	case corrupt >= 0:
		return "it raises an alarm: " + m.status.Errors[corrupt]
	}
	return ""
}

// members lists what etcd says about its members: by all of them or, of a member that has lost the others, as it knows them itself.
func (m *member) members(ctx context.Context) ([]etcd.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var how []clientv3.OpOption
	if m.status.Leader == 0 {
		how = append(how, clientv3.WithSerializable())
	}
	list, err := m.client.MemberList(ctx, how...)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fail.Errorf(fail.Transient, "host %s: etcd's members do not say who they are within %v: the quorum may be lost; try again, or insist on one member with --from", m.on.Name(), askTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("host %s: list etcd's members: %w", m.on.Name(), err)
	}
	var all []etcd.Member
	for _, e := range list.Members {
		all = append(all, etcd.Member{ID: strconv.FormatUint(e.ID, 16), Name: e.Name, PeerURLs: e.PeerURLs, ClientURLs: e.ClientURLs, Learner: e.IsLearner})
	}
	return all, nil
}

// snapshot has etcd send its database; size is known from the first message on.
func (m *member) snapshot(ctx context.Context) (r io.Reader, size int64, err error) {
	stream, err := pb.NewMaintenanceClient(m.client.ActiveConnection()).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return nil, 0, fmt.Errorf("host %s: ask etcd for a snapshot: %w", m.on.Name(), err)
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, 0, fmt.Errorf("host %s: ask etcd for a snapshot: %w", m.on.Name(), err)
	}
	const hash = 32 // follows the database
	return &blobs{stream: stream, part: first.Blob}, int64(len(first.Blob)) + int64(first.RemainingBytes) + hash, nil
}

// blobs is the content of the messages one after the other.
type blobs struct {
	stream grpc.ServerStreamingClient[pb.SnapshotResponse]
	part   []byte
}

func (b *blobs) Read(p []byte) (int, error) {
	for len(b.part) == 0 {
		next, err := b.stream.Recv()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, fmt.Errorf("etcd's snapshot broke off: %w", err)
		}
		b.part = next.Blob
	}
	n := copy(p, b.part)
	b.part = b.part[n:]
	return n, nil
}
