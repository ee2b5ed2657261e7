// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/util/keyutil"

	"hozon.dev/hozon/internal/fail"
)

// api asks the API server of a machine whether it is ready, and which keys it takes.
func (c *Checker) api(ctx context.Context, m *machine) *server {
	p := m.process("kube-apiserver")
	if p == nil {
		return nil
	}
	s, err := reach(ctx, m)
	if err != nil {
		c.add(m.Name(), "API server", Warning, "it was not asked: %v", err)
		c.accounts(ctx, m, p, nil)
		return nil
	}
	err = s.get(ctx, "/readyz?verbose", nil)
	if fail.Is(err, fail.NotFound) { // before Kubernetes 1.16
		err = s.get(ctx, "/healthz", nil)
	}
	ready := c.judge(m.Name(), "API server", err, "ready")
	c.accounts(ctx, m, p, s)
	if !ready {
		return nil
	}
	return s
}

// flags are all values of a flag that may be given several times.
func (p process) flags(name string) []string {
	var all []string
	for i := range p.args {
		one := process{args: p.args[i:min(i+2, len(p.args))]}
		if strings.TrimLeft(one.args[0], "-") == name || strings.HasPrefix(strings.TrimLeft(one.args[0], "-"), name+"=") {
			all = append(all, one.flag(name))
		}
	}
	return all
}

// keyID is how tokens name the key that has signed them.
func keyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), err
}

// accounts looks whether the key on the disk that signs the tokens of service accounts is one that the API server takes, and is the one that the running one has.
func (c *Checker) accounts(ctx context.Context, m *machine, p *process, s *server) {
	const check = "service-account keys"
	file := p.flag("service-account-signing-key-file")
	if file == "" {
		return
	}
	id, err := c.signer(ctx, m, p, file)
	if err != nil {
		c.add(m.Name(), check, Failed, "%s: %v", file, err)
		return
	}
	c.signers[id] = append(c.signers[id], m.Name())
	taken := p.flags("service-account-key-file")
	good := len(taken) == 0 // then it is the signing key
	for _, f := range taken {
		text, err := m.read(ctx, p, f)
		if err != nil {
			c.add(m.Name(), check, Failed, "%v", err)
			return
		}
		keys, err := keyutil.ParsePublicKeysPEM(text)
		if err != nil {
			c.add(m.Name(), check, Failed, "%s holds no key", f)
			return
		}
		good = good || slices.ContainsFunc(keys, func(k any) bool { other, err := keyID(k); return err == nil && other == id })
	}
	if !good {
		c.add(m.Name(), check, Failed, "%s has signed tokens that none of %s accepts", file, strings.Join(taken, ", "))
		return
	}
	c.inUse(ctx, m, s, file, id)
}

// signer is the id of the key in a file.
func (c *Checker) signer(ctx context.Context, m *machine, p *process, file string) (string, error) {
	text, err := m.read(ctx, p, file)
	if err != nil {
		return "", err
	}
	private, err := keyutil.ParsePrivateKeyPEM(text)
	if err != nil {
		return "", fmt.Errorf("no private key in it")
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return "", fmt.Errorf("its key signs nothing")
	}
	return keyID(signer.Public())
}

// inUse compares with the keys that the running API server publishes.
func (c *Checker) inUse(ctx context.Context, m *machine, s *server, file, id string) {
	const check = "service-account keys"
	if s == nil {
		c.add(m.Name(), check, OK, "the key on the disk is accepted; the running API server was not asked for its own")
		return
	}
	var published struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	err := s.get(ctx, "/openid/v1/jwks", &published)
	switch {
	case fail.Is(err, fail.NotFound):
		c.add(m.Name(), check, OK, "the key on the disk is accepted; this API server does not publish its own")
	case err != nil:
		c.add(m.Name(), check, Warning, "%v", err)
	case !slices.ContainsFunc(published.Keys, func(k struct {
		ID string `json:"kid"`
	}) bool {
		return k.ID == id
	}):
		c.add(m.Name(), check, Failed, "%s is NOT the key that the running API server uses: it was changed since it started, and a backup would hold the wrong one", file)
	default:
		c.add(m.Name(), check, OK, "the key on the disk is the one in use")
	}
}

// sameSigners wants one key on all machines.
func (c *Checker) sameSigners() {
	if len(c.signers) > 1 {
		c.add("", "service-account keys", Failed, "the machines sign with different keys: %v", c.signers)
	}
}
