// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"slices"
	"strconv"

	"hozon.dev/hozon/internal/fail"
)

// maxMembers bounds the list of members; etcd clusters have seven at most.
const maxMembers = 1000

// Member is a member of the etcd cluster.
type Member struct {
	ID         string   `json:"id"` // hex, as etcdctl prints it
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs,omitempty"`
	Learner    bool     `json:"learner,omitempty"`
}

// Status is what etcd says about itself in a snapshot. Hash, Revision and TotalKeys are those of `etcdctl snapshot status`.
type Status struct {
	Hash           uint32   `json:"hash"` // CRC-32C over all buckets
	Revision       int64    `json:"revision"`
	TotalKeys      int      `json:"totalKeys"` // entries of all buckets
	Compacted      int64    `json:"compactedRevision,omitempty"`
	RaftIndex      uint64   `json:"raftIndex"`
	RaftTerm       uint64   `json:"raftTerm,omitempty"` // not before etcd 3.5
	ClusterVersion string   `json:"clusterVersion,omitempty"`
	StorageVersion string   `json:"storageVersion,omitempty"` // not before etcd 3.6
	Members        []Member `json:"members"`
	Auth           bool     `json:"auth,omitempty"` // etcd's own users and roles are switched on
}

// Status reads the whole file once.
func (s *Snapshot) Status(ctx context.Context) (Status, error) {
	var st Status
	hash := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, name := range s.names {
		hash.Write([]byte(name))
		err := s.buckets[name].Each(func(k, v []byte) error {
			hash.Write(k)
			hash.Write(v)
			if st.TotalKeys++; st.TotalKeys%askEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			return st.take(name, k, v)
		})
		if err != nil {
			return st, err
		}
	}
	st.Hash = hash.Sum32()
	slices.SortFunc(st.Members, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return st, nil
}

// take picks what the status tells out of one entry of a bucket.
func (st *Status) take(bucket string, k, v []byte) error {
	switch bucket {
	case "key":
		rev, _, err := readRevision(k)
		st.Revision = rev.main
		return err
	case "members":
		return st.takeMember(k, v)
	case "cluster":
		if string(k) == "clusterVersion" {
			st.ClusterVersion = short(v)
		}
	case "auth":
		if string(k) == "authEnabled" {
			st.Auth = len(v) == 1 && v[0] == 1
		}
	case "meta":
		switch string(k) {
		case "consistent_index":
			st.RaftIndex = number(v)
		case "term":
			st.RaftTerm = number(v)
		case "storageVersion":
			st.StorageVersion = short(v)
		case "finishedCompactRev":
			if rev, _, err := readRevision(v); err == nil {
				st.Compacted = rev.main
			}
		}
	}
	return nil
}

func (st *Status) takeMember(k, v []byte) error {
	var m struct {
		ID         uint64   `json:"id"`
		Name       string   `json:"name"`
		PeerURLs   []string `json:"peerURLs"`
		ClientURLs []string `json:"clientURLs"`
		IsLearner  bool     `json:"isLearner"`
	}
	if err := json.Unmarshal(v, &m); err != nil {
		return fail.Errorf(fail.Corrupt, "member %.40q: %w", k, err)
	}
	if len(st.Members) == maxMembers {
		return fail.Errorf(fail.Corrupt, "more than %d members", maxMembers)
	}
	st.Members = append(st.Members, Member{
		ID: strconv.FormatUint(m.ID, 16), Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner,
	})
	return nil
}

// compacted is the revision below which history was given up, also if that was not finished.
func (s *Snapshot) compacted() (int64, error) {
	var at int64
	err := s.buckets["meta"].Each(func(k, v []byte) error {
		if string(k) != "scheduledCompactRev" && string(k) != "finishedCompactRev" {
			return nil
		}
		rev, _, err := readRevision(v)
		at = max(at, rev.main)
		return err
	})
	return at, err
}

func number(v []byte) uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// short keeps a hostile file from printing a novel.
func short(v []byte) string { return string(v[:min(len(v), 40)]) }
