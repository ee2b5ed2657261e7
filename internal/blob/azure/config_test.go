// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/fail"
)

func TestParse(t *testing.T) {
	tests := []struct {
		url  string
		want Config
	}{
		{"azblob://container?account=backups", Config{Account: "backups", Container: "container", BlockSize: defaultBlock}},
		{"azblob://my-container/a%20b/c/?account=backups&block-size=1048576", Config{Account: "backups", Container: "my-container", Prefix: "a b/c/", BlockSize: 1 << 20}},
		{"azblob://container?account=backups&endpoint=http://localhost:10000/backups/&credentials-file=/c&ca=/ca.pem",
			Config{Account: "backups", Container: "container", Endpoint: "http://localhost:10000/backups", CredentialsFile: "/c", CAFile: "/ca.pem", BlockSize: defaultBlock}},
	}
	for _, tt := range tests {
		got, err := Parse(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.url, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const account = "?account=backups"
	tests := []struct{ url, text string }{
		{"azblob://" + account, "names no container"},
		{"azblob:container" + account, "names no container"},
		{"azblob://container", "storage account is missing in the store's URL"},
		{"azblob://container?account=Back-Ups", "storage account is missing"},
		{"azblob://a--b" + account, "name cannot be right"},
		{"azblob://Container" + account, "name cannot be right"},
		{"azblob://container/a//b" + account, "prefix"},
		{"azblob://container#x" + account, "'#'"},
		{"azblob://container" + account + "&region=x", `unknown parameter "region"`},
		{"azblob://container" + account + "&endpoint=", "one value"},
		{"azblob://container" + account + "&endpoint=ftp://x", "the endpoint of the store must read"},
		{"azblob://container" + account + "&block-size=4MiB", "a number of bytes"},
		{"azblob://container" + account + "&block-size=4000000000", "not possible"},
		{"azblob://me:topsecret@container" + account, "credentials belong into"},
		{"azblob://container" + account + "&key=topsecret", `unknown parameter "key"`},
	}
	for _, tt := range tests {
		_, err := Parse(tt.url)
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v (%v), want %q", tt.url, err, fail.Of(err), tt.text)
		}
	}
}

func TestBlockSizes(t *testing.T) {
	b := &Bucket{blockSize: defaultBlock}
	var total int64
	for n := 1; n <= maxBlocks; n++ {
		size := b.size(n)
		if size < defaultBlock || size > lastBlock {
			t.Fatalf("block %d has %d bytes", n, size)
		}
		total += size
	}
	if b.size(growEvery) != defaultBlock || total < 5<<40 {
		t.Errorf("%d blocks hold %d bytes", maxBlocks, total)
	}
}
