// SPDX-License-Identifier: Apache-2.0

// Package wire has the messages that go to and from Velero's plugins, generated from plugin.proto, and the names of the calls.
package wire

// Method is the full name of a call: service "ObjectStore", call "Init".
func Method(service, call string) string { return "/generated." + service + "/" + call }
