// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"hozon.dev/hozon/internal/fail"
)

// hostKeys is the known-hosts file, as it applies to one machine.
type hostKeys struct {
	file   string
	policy Policy
	look   ssh.HostKeyCallback
	known  []knownhosts.KnownKey // of this machine
	err    error                 // why the machine's key was refused
}

func openKeys(s Spec, address string) (*hostKeys, error) {
	k := &hostKeys{file: s.KnownHosts, policy: s.HostKeys}
	if k.file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		k.file = filepath.Join(home, ".ssh", "known_hosts")
	}
	if k.policy == AcceptNew {
		if err := touch(k.file); err != nil {
			return nil, fail.Errorf(fail.Denied, "keep host keys: %w", err)
		}
	}
	var err error
	if k.look, err = knownhosts.New(k.file); err != nil {
		return nil, fail.Errorf(fail.Denied, "read known hosts: %w; `ssh-keyscan -p %d %s` prints the key to check and add", err, s.Port, s.Address)
	}
	k.known = k.of(address)
	return k, nil
}

func touch(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// of asks for the machine's keys by showing one that nobody has.
func (k *hostKeys) of(address string) []knownhosts.KnownKey {
	probe, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var refused *knownhosts.KeyError
	if errors.As(k.look(address, &net.TCPAddr{IP: net.IPv4zero}, probe), &refused) {
		return refused.Want
	}
	return nil
}

// algorithms makes the machine show the key that is known of it, where it has several; nil leaves the choice to it.
func (k *hostKeys) algorithms() []string {
	var all []string
	for _, key := range k.known {
		if t := key.Key.Type(); t == ssh.KeyAlgoRSA {
			all = append(all, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			all = append(all, t)
		}
	}
	return all
}

// check is the decision about the key that a machine shows.
func (k *hostKeys) check(address string, _ net.Addr, key ssh.PublicKey) error {
	// By the name alone: what it resolves to may change.
	err := k.look(address, &net.TCPAddr{IP: net.IPv4zero}, key)
	var refused *knownhosts.KeyError
	if errors.As(err, &refused) && len(refused.Want) == 0 && k.policy == AcceptNew {
		err = k.add(address, key)
	}
	k.err = err
	return err
}

func (k *hostKeys) add(address string, key ssh.PublicKey) error {
	f, err := os.OpenFile(k.file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(knownhosts.Line([]string{knownhosts.Normalize(address)}, key) + "\n")
	return errors.Join(err, f.Close())
}

// explain says what to do about a connection that was refused, by either side.
func (k *hostKeys) explain(s Spec, address string, err error) error {
	var refused *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(k.err, &revoked):
		return fail.Errorf(fail.Denied, "its key is marked as revoked in %s", k.file)
	case errors.As(k.err, &refused) && len(refused.Want) > 0:
		return fail.Errorf(fail.Denied, "its key has CHANGED: %s:%d has another one. Either the machine was made anew, then remove that line, or somebody is in between", refused.Want[0].Filename, refused.Want[0].Line)
	case errors.As(k.err, &refused):
		return fail.Errorf(fail.Denied, "its key is not in %s: check what `ssh-keyscan -p %d %s` prints and add it, or set hostKeys: accept-new", k.file, s.Port, s.Address)
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return fail.Errorf(fail.Denied, "it does not have the kind of key any more that %s has of it: the key has CHANGED", k.file)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fail.Errorf(fail.Denied, "user %s is not let in with this key. If keys were changed since, put the old one back for the time being", s.User)
	}
	return fmt.Errorf("connect to %s: %w", address, err)
}
