// SPDX-License-Identifier: Apache-2.0

// Package server tests `hozon server` from the outside: a real process, a real API server, a real S3 server, and the custom resources
// in between. Some of its tests kill one of the three.
package server
