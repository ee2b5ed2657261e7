// SPDX-License-Identifier: Apache-2.0

package s3

const (
	firstPart = 5 << 20 // the least that S3 takes
	maxParts  = 10000   // S3's limit
	growEvery = 800
	lastPart  = 2 << 30
)

// partSize returns the size of part n, which starts at 1: 5 MiB, doubled every 800 parts up to 2 GiB. So the first 4 GiB of an object take
// 15 MiB of memory, and 10,000 parts hold more than 5 TiB, the largest object that S3 keeps.
func partSize(n int) int64 {
	return min(int64(firstPart)<<((n-1)/growEvery), lastPart)
}
