// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
)

func sample(name string) archive.Item {
	return object1("apps", "deployments", "v1", "Deployment", "shop", name, true, "of "+name)
}

// An index that does not fit its archive is found out in both directions, item by item.
func TestVerifyCompares(t *testing.T) {
	beta := object1("apps", "deployments", "v1beta1", "Deployment", "shop", "a", false, "beta")
	file, w := put(t, sample("a"), beta, sample("b"), sample("c"))
	index, _ := writeIndex(t, w)
	lines := strings.SplitAfter(string(gunzip(t, index)), "\n")
	lines = lines[:4] // a v1, a v1beta1, b, c
	edit := func(i int, change func(m map[string]any)) string {
		var m map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines[:i], "") + string(b) + "\n" + strings.Join(lines[i+1:], "")
	}
	const dir, prefdir = "resources/deployments.apps/", "resources/deployments.apps/v1-preferredversion/"
	tests := []struct {
		name, index string
		want        []string
	}{
		{"as written", strings.Join(lines, ""), nil},
		{"one more in the archive", strings.Join(lines[:3], ""), []string{
			dir + "namespaces/shop/c.json: it is not in the index", prefdir + "namespaces/shop/c.json: it is not in the index"}},
		{"one more in the index", strings.Join(lines, "") + strings.Replace(lines[3], `"n":"c"`, `"n":"d"`, 1), []string{
			"deployments.apps/shop/d v1: it is in the index, but not in the archive"}},
		{"no version", strings.Join([]string{lines[0], lines[2], lines[3]}, ""), []string{
			dir + "v1beta1/namespaces/shop/a.json: it is not in the index"}},
		{"hash", edit(2, func(m map[string]any) { m["h"] = strings.Repeat("A", 43) }), []string{
			dir + "namespaces/shop/b.json: its content is not what the index says", prefdir + "namespaces/shop/b.json: its content is not what the index says"}},
		{"size", edit(1, func(m map[string]any) { m["s"] = 3 }), []string{
			dir + "v1beta1/namespaces/shop/a.json: it has 106 bytes, and 3 in the index"}},
		{"place", edit(3, func(m map[string]any) { m["o"] = m["o"].(float64) - 512 }), []string{
			dir + "namespaces/shop/c.json: it lies at byte 5632 of its block, and at 5120 in the index"}},
		{"kind", edit(3, func(m map[string]any) { m["k"] = "Other" }), []string{
			dir + "namespaces/shop/c.json: its kind is Deployment, and Other in the index", prefdir + "namespaces/shop/c.json: its kind is Deployment, and Other in the index"}},
		{"preferred", edit(1, func(m map[string]any) { m["p"] = true }), nil}, // refused: two preferred versions
	}
	for _, tt := range tests {
		var bad []string
		err := verify(file, pack([]byte(tt.index)), &bad)
		if tt.name == "preferred" {
			if !fail.Is(err, fail.Corrupt) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil || fmt.Sprint(bad) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, items:\n%s\nwant:\n%s", tt.name, err, strings.Join(bad, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// Blocks that the index puts elsewhere are refused, and no changed bit is overlooked.
func TestVerifyRefuses(t *testing.T) {
	file, w := put(t, sample("a"), sample("b"))
	index, _ := writeIndex(t, w)
	text := string(gunzip(t, index))
	at, length := strings.Index(text, `"b":[`)+5, strings.Index(text, `],"o"`)
	span := text[at:length]
	var offset, size int64
	if _, err := fmt.Sscanf(span, "%d,%d", &offset, &size); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		fmt.Sprintf("%d,%d", offset+1, size), fmt.Sprintf("%d,%d", offset, size-1), fmt.Sprintf("%d,%d", offset, size+1),
		fmt.Sprintf("%d,%d", offset-1, size+1), fmt.Sprintf("%d,%d", offset+10000, size), fmt.Sprintf("10,%d", len(file)),
	} {
		if err := verify(file, pack([]byte(strings.ReplaceAll(text, span, s))), nil); !fail.Is(err, fail.Corrupt) {
			t.Errorf("block %s for %s: %v of kind %v", s, span, err, fail.Of(err))
		}
	}
	one := strings.Replace(text, span, fmt.Sprintf("%d,%d", offset, size-1), 1)
	if err := verify(file, pack([]byte(one)), nil); !fail.Is(err, fail.Corrupt) || !strings.Contains(err.Error(), "overlap") {
		t.Error(err)
	}
	// Deflate ignores some bits, those that fill up a byte for one; the archive is the same with them changed. It is
	// the manifest's hash of the file that finds them.
	content := gunzip(t, file)
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		if err := verify(bad, index, nil); !refused(err) && (err != nil || !bytes.Equal(gunzip(t, bad), content)) {
			t.Errorf("byte %d of %d changed: %v", i, len(file), err)
		}
	}
	for i := range len(file) {
		if err := verify(file[:i], index, nil); !refused(err) {
			t.Errorf("cut off at %d of %d: %v", i, len(file), err)
		}
	}
	if err := verify(append(bytes.Clone(file), 0), index, nil); !fail.Is(err, fail.Corrupt) {
		t.Error(err)
	}
}

// An archive without items has an empty index.
func TestVerifyEmpty(t *testing.T) {
	file, w := put(t)
	index, sum := writeIndex(t, w)
	if err := verify(file, index, nil); err != nil || len(sum.Blocks) != 0 {
		t.Errorf("%v, %+v", err, sum)
	}
	if err := archive.ReadIndex(bytes.NewReader(index), func(archive.IndexEntry) error { return nil }); err != nil {
		t.Error(err)
	}
}

func refused(err error) bool { return fail.Is(err, fail.Corrupt) || fail.Is(err, fail.Unsupported) }

// Read finds every changed bit that changes the content.
func TestReadFlipped(t *testing.T) {
	file, _ := put(t, sample("a"), sample("b"))
	content := gunzip(t, file)
	rnd := rand.New(rand.NewPCG(3, 3))
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << rnd.IntN(8)
		_, err := archive.Read(bytes.NewReader(bad), archive.ReadOptions{}, func(archive.Entry) error { return nil })
		if !refused(err) && (err != nil || !bytes.Equal(gunzip(t, bad), content)) {
			t.Errorf("byte %d of %d changed: %v of kind %v", i, len(file), err, fail.Of(err))
		}
	}
}
