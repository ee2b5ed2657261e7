// SPDX-License-Identifier: Apache-2.0

// Package chart holds the Helm chart against `hozon install`: both must make the same objects.
package chart
