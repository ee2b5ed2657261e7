// SPDX-License-Identifier: Apache-2.0

// Package podvolume saves the files of real pods' volumes and brings them back, by the real server and the real node agent.
package podvolume
