// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/compression"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/object"

	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/vault"
)

// BenchmarkSettings is what doc/decision/0014-vault.md chooses by: the time on processors that files of a megabyte cost, half of them noise, half words,
// by the hash of the repository, and the splitter and the compression of files.
func BenchmarkSettings(b *testing.B) {
	for _, hash := range []string{"BLAKE2B-256-128", "BLAKE2S-256", "HMAC-SHA256-128", "BLAKE3-256-128"} {
		for _, splitter := range []string{dynamic, cheap} {
			for _, c := range []compression.Name{"", "s2-default", "zstd-fastest"} {
				b.Run(fmt.Sprintf("%s/%s/%s", hash, splitter, c), func(b *testing.B) { benchmarkSettings(b, hash, splitter, c) })
			}
		}
	}
}

func benchmarkSettings(b *testing.B, hash, splitter string, c compression.Name) {
	const files, size = 100, 1_000_000
	bucket := mem.New()
	s := &storage{near: vault.Near{Bucket: bucket}, prefix: Prefix("files")}
	must(b, repo.Initialize(b.Context(), s, &repo.NewRepositoryOptions{BlockFormat: format.ContentFormat{Hash: hash}}, password))
	rep := reopen(b, bucket)
	random := rand.NewChaCha8([32]byte{1})
	var table [64]string
	for i := range table {
		table[i] = fmt.Sprintf("%07x ", i*i*i*7919)
	}
	noise, words := make([]byte, size), make([]byte, size)
	defer func(report func()) { report(); b.ReportMetric(files*size/1e6, "MB/op") }(cpu(b))
	for b.Loop() {
		must(b, repo.WriteSession(b.Context(), rep, repo.WriteSessionOptions{}, func(ctx context.Context, w repo.RepositoryWriter) error {
			for i := range files {
				data := noise
				if _, _ = random.Read(noise); i%2 == 0 {
					data = words
					for at := 0; at < size; at += 8 {
						copy(words[at:], table[noise[at/8]%64])
					}
				}
				o := w.NewObjectWriter(ctx, object.WriterOptions{Compressor: c, Splitter: splitter})
				if _, err := o.Write(data); err != nil {
					return err
				}
				if _, err := o.Result(); err != nil {
					return err
				}
				o.Close()
			}
			return nil
		}))
	}
}
