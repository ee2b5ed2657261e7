// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/etcd"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// lifetime is how long an archive is good for: kubeadm's certificates last for a year.
const lifetime = 365 * 24 * time.Hour

// Saver writes archives of control planes.
type Saver struct {
	Cluster string // its name
	Tool    string
	From    string // the machine whose etcd is saved, whatever the others say; "": the healthiest of those that agree
	Now     func() time.Time
	Say     func(format string, args ...any) // hears of each step
}

// Save writes the archive of the cluster on hosts to w, as one stream. What it returns has not been verified: see Verify.
func (s *Saver) Save(ctx context.Context, hosts []*host.Host, w io.Writer) (*bundle.Manifest, error) {
	var machines []*machine
	var members []*member
	defer func() {
		for _, m := range members {
			m.client.Close()
		}
	}()
	out := &bundle.Manifest{Cluster: s.Cluster, Tool: s.Tool, Created: s.Now().UTC(), Expires: s.Now().UTC().Add(lifetime)}
	for _, h := range hosts {
		s.Say("Looking at host %s", h.Name())
		m, err := look(ctx, h)
		if err != nil {
			return nil, err
		}
		machines = append(machines, m)
		if m.process("etcd") == nil {
			continue
		}
		e, err := connect(ctx, m)
		if err != nil {
			out.Warnings = append(out.Warnings, err.Error())
			continue
		}
		members = append(members, e)
	}
	if len(members) == 0 {
		return nil, fail.Errorf(fail.NotFound, "no etcd answers on any of the %d hosts%s", len(hosts), because(out.Warnings))
	}
	archive, err := bundle.NewWriter(w, out.Created)
	if err != nil {
		return nil, err
	}
	defer archive.Release()
	if err := s.saveEtcd(ctx, members, out, archive); err != nil {
		return nil, err
	}
	for _, m := range machines {
		if err := s.saveFiles(ctx, m, out, archive); err != nil {
			return nil, err
		}
	}
	return out, archive.Close(out)
}

func because(reasons []string) string {
	if len(reasons) == 0 {
		return "; name the machines that it runs on in an inventory"
	}
	return ": " + strings.Join(reasons, "; ")
}

func (s *Saver) saveEtcd(ctx context.Context, all []*member, out *bundle.Manifest, archive *bundle.Writer) error {
	best, err := s.choose(ctx, all, out)
	if err != nil {
		return err
	}
	members, err := best.members(ctx)
	if err != nil && s.From == "" {
		return err
	}
	out.Etcd = bundle.EtcdFacts{
		Host: best.on.Name(), Version: best.status.Version, ClusterID: strconv.FormatUint(best.status.Header.ClusterId, 16),
		RevisionAtLeast: best.status.Header.Revision, Members: members,
	}
	s.Say("Saving etcd %s from host %s", best.status.Version, best.on.Name())
	r, size, err := best.snapshot(ctx)
	if err != nil {
		return err
	}
	err = archive.Add(&tar.Header{Typeflag: tar.TypeReg, Name: bundle.Snapshot, Mode: 0o600, Size: size, ModTime: out.Created}, exactly(r, size))
	if err != nil {
		return err
	}
	return s.saveV2(ctx, best, out, archive)
}

// choose is the member to take the snapshot from: the one that was named, else the healthiest, if all that answer are of one cluster and hold the same data.
func (s *Saver) choose(ctx context.Context, all []*member, out *bundle.Manifest) (*member, error) {
	if s.From != "" {
		i := slices.IndexFunc(all, func(m *member) bool { return m.on.Name() == s.From })
		if i < 0 {
			return nil, fail.Errorf(fail.NotFound, "no etcd answers on host %s%s", s.From, because(out.Warnings))
		}
		out.Warnings = append(out.Warnings, "etcd was saved as host "+s.From+" has it; the other members were not asked")
		return all[i], nil
	}
	best, err := healthiest(all)
	if err != nil {
		return nil, fmt.Errorf("%w. --from HOST saves what that machine has all the same", err)
	}
	for _, m := range all {
		if m.status.Header.ClusterId != best.status.Header.ClusterId {
			return nil, fail.Errorf(fail.Invalid, "the etcd of host %s is of another cluster than that of host %s: correct the inventory, or choose one with --from HOST", m.on.Name(), best.on.Name())
		}
		for _, e := range m.status.Errors {
			out.Warnings = append(out.Warnings, "host "+m.on.Name()+": etcd raises an alarm: "+e)
		}
	}
	hashes, err := hashKV(ctx, all)
	if err != nil { // etcd before 3.3 has no such call
		out.Warnings = append(out.Warnings, "whether etcd's members hold the same data is not known: "+err.Error())
	}
	if len(hashes) > 1 {
		return nil, fail.Errorf(fail.Corrupt, "etcd's members do NOT hold the same data: %s. Find out which is right (etcdctl endpoint status, the data itself), and save it with --from HOST", disagree(hashes))
	}
	return best, nil
}

// disagree lists who holds what.
func disagree(hashes map[uint32][]string) string {
	var all []string
	for hash, names := range hashes {
		all = append(all, fmt.Sprintf("%s have %08x", strings.Join(names, ", "), hash))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// exactly makes one byte too many an error and not a cut.
func exactly(r io.Reader, size int64) io.Reader { return io.LimitReader(r, size+1) }

// packageScript prints the list of packages, whichever system it is.
const packageScript = `if command -v rpm >/dev/null && [ -e /var/lib/rpm ]; then rpm -qa | sort; elif command -v dpkg-query >/dev/null; then dpkg-query -W; fi`

func (s *Saver) saveFiles(ctx context.Context, m *machine, out *bundle.Manifest, archive *bundle.Writer) error {
	s.Say("Saving files of host %s (%s)", m.Name(), m.layout)
	facts := m.facts(ctx)
	if facts.Member != nil {
		if err := m.dataOwner(ctx, facts.Member); err != nil { // in a container it may have another path
			out.Warnings = append(out.Warnings, err.Error())
		}
	}
	out.Hosts = append(out.Hosts, facts)
	prefix := "hosts/" + m.Name() + "/"
	seen := map[string]bool{}
	err := m.Files(ctx, m.paths(), func(h *tar.Header, r io.Reader) error {
		if h.Name = prefix + "files/" + h.Name; seen[h.Name] {
			return fail.Errorf(fail.Corrupt, "its tar sends %q twice", h.Name)
		}
		seen[h.Name] = true
		if h.Typeflag == tar.TypeLink { // names another entry of the same tar
			h.Linkname = prefix + "files/" + h.Linkname
		}
		return archive.Add(h, r)
	})
	if err != nil {
		return fmt.Errorf("save files of host %s: %w", m.Name(), err)
	}
	packages, err := m.Run(ctx, "sh", "-c", packageScript)
	if err != nil {
		return err
	}
	return archive.AddBytes(prefix+"packages.txt", packages)
}

// Verify reads an archive back: every file as the manifest says, etcd's hash, every record of its database. It returns what etcd's
// database says of itself.
func Verify(ctx context.Context, r io.ReaderAt, size int64) (*bundle.Bundle, etcd.Status, error) {
	b, err := bundle.Open(ctx, r, size, nil)
	if err != nil {
		return nil, etcd.Status{}, err
	}
	snapshot, err := b.File(bundle.Snapshot)
	if err != nil {
		return nil, etcd.Status{}, err
	}
	st, err := verifySnapshot(ctx, snapshot, b.SnapshotBody(), b.Manifest.Etcd.RevisionAtLeast)
	return b, st, err
}

// verifySnapshot wants etcd's hash to be that of the bytes that were read, body, and every record to be readable.
func verifySnapshot(ctx context.Context, r *io.SectionReader, body [sha256.Size]byte, atLeast int64) (etcd.Status, error) {
	s, err := etcd.Open(r, r.Size())
	if err != nil {
		return etcd.Status{}, err
	}
	if !s.Hashed {
		return etcd.Status{}, fail.Errorf(fail.Corrupt, "etcd's snapshot does not end with its hash")
	}
	if err := s.CheckSum(body); err != nil {
		return etcd.Status{}, err
	}
	st, err := s.Status(ctx)
	if err == nil && st.Revision < atLeast {
		err = fail.Errorf(fail.Corrupt, "etcd's snapshot ends at revision %d; it was at %d before", st.Revision, atLeast)
	}
	return st, err
}

// OpenArchive opens the snapshot inside of an archive like one that lies in a file of its own. What the archive knows about prefixes and keys is used where o
// says nothing.
func OpenArchive(ctx context.Context, r io.ReaderAt, size int64, o Options) (*Image, *bundle.Bundle, error) {
	configs := map[string][]byte{}
	b, err := bundle.Open(ctx, r, size, func(h *tar.Header, body io.Reader) error {
		if h.Size > maxEncryptionConfig || !strings.HasPrefix(h.Name, "hosts/") {
			return nil
		}
		// Which of the files it is, the manifest says, which comes last; only what could be one is kept.
		text, err := io.ReadAll(body)
		if err == nil && looksLikeConfig(text) && len(configs) < 100 {
			configs[h.Name] = text
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if err := o.complete(b, configs); err != nil {
		return nil, nil, err
	}
	snapshot, err := b.File(bundle.Snapshot)
	if err != nil {
		return nil, nil, err
	}
	s, err := etcd.Open(snapshot, snapshot.Size())
	if err != nil {
		return nil, nil, err
	}
	if s.Hashed { // else Load refuses it
		if err := s.CheckSum(b.SnapshotBody()); err != nil {
			return nil, nil, err
		}
	}
	image, err := read(ctx, s, o)
	return image, b, err
}

// maxEncryptionConfig bounds the file with the keys of the API server.
const maxEncryptionConfig = 1 << 20

func looksLikeConfig(text []byte) bool {
	return bytes.Contains(text, []byte("EncryptionConfig")) && bytes.Contains(text, []byte("providers"))
}

// complete fills in what the archive knows.
func (o *Options) complete(b *bundle.Bundle, configs map[string][]byte) error {
	for _, h := range b.Manifest.Hosts {
		if len(o.Prefixes) == 0 && h.Prefix != "" {
			o.Prefixes = []string{h.Prefix}
		}
		text := configs[h.EncryptionConfig]
		if o.Keys != nil || text == nil {
			continue
		}
		keys, err := decode.ReadKeyring(text)
		if err != nil {
			return fmt.Errorf("%s: %w", h.EncryptionConfig, err)
		}
		o.Keys = keys
	}
	return nil
}
