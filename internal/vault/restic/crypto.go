// SPDX-License-Identifier: Apache-2.0

package restic

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"

	"golang.org/x/crypto/poly1305" //lint:ignore SA1019 restic's format is Poly1305-AES, which nothing else offers
	"golang.org/x/crypto/scrypt"

	"hozon.dev/hozon/internal/fail"
)

const (
	ivSize   = 16
	macSize  = 16
	overhead = ivSize + macSize
)

var errMAC = errors.New("it is not authentic")

// key is restic's: one for the cipher, two parts for the MAC.
type key struct {
	Encrypt []byte `json:"encrypt"`
	MAC     struct {
		K []byte `json:"k"`
		R []byte `json:"r"`
	} `json:"mac"`
}

func (k *key) valid() bool { return len(k.Encrypt) == 32 && len(k.MAC.K) == 16 && len(k.MAC.R) == 16 }

// open decrypts IV, text and MAC, in place.
func (k *key) open(data []byte) ([]byte, error) {
	if len(data) < overhead {
		return nil, errors.New("it is too short")
	}
	iv, text, mac := data[:ivSize], data[ivSize:len(data)-macSize], data[len(data)-macSize:]
	block, err := aes.NewCipher(k.MAC.K)
	if err != nil {
		return nil, err
	}
	var once [32]byte
	copy(once[:16], k.MAC.R)
	block.Encrypt(once[16:], iv)
	if !poly1305.Verify((*[16]byte)(mac), text, &once) {
		return nil, errMAC
	}
	if block, err = aes.NewCipher(k.Encrypt); err != nil {
		return nil, err
	}
	cipher.NewCTR(block, iv).XORKeyStream(text, text)
	return text, nil
}

// keyFile is what lies in keys/: it is not encrypted, and nothing vouches for it.
type keyFile struct {
	KDF  string `json:"kdf"`
	N    int    `json:"N"`
	R    int    `json:"r"`
	P    int    `json:"p"`
	Salt []byte `json:"salt"`
	Data []byte `json:"data"`
}

// maxScrypt bounds the memory that a key file may ask for; restic asks for 32 to 64 MiB.
const maxScrypt = 256 << 20

// errPassword says that this key is not for this password.
var errPassword = errors.New("the password is wrong")

// master opens a key file.
func master(data []byte, password string) (*key, error) {
	var f keyFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fail.As(fail.Corrupt, err)
	}
	if f.KDF != "scrypt" {
		return nil, fail.Errorf(fail.Unsupported, "its key is made by %q, not scrypt: the format is newer than this program", f.KDF)
	}
	if f.N < 2 || f.R < 1 || f.P < 1 || f.P > 64 || f.R > 64 || f.N > maxScrypt/128/f.R {
		return nil, fail.Errorf(fail.Corrupt, "it asks for scrypt with N=%d, r=%d, p=%d", f.N, f.R, f.P)
	}
	derived, err := scrypt.Key([]byte(password), f.Salt, f.N, f.R, f.P, 64)
	if err != nil {
		return nil, fail.As(fail.Corrupt, err)
	}
	user := key{Encrypt: derived[:32]}
	user.MAC.K, user.MAC.R = derived[32:48], derived[48:]
	text, err := user.open(f.Data)
	if err != nil {
		return nil, errPassword
	}
	var k key
	if err := json.Unmarshal(text, &k); err != nil || !k.valid() {
		return nil, fail.Errorf(fail.Corrupt, "it does not hold a key")
	}
	return &k, nil
}
