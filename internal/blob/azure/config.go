// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"regexp"
	"strconv"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/fail"
)

// Config says where a container is and how to speak to it.
type Config struct {
	Account   string
	Container string
	Prefix    string // with or without "/" around it
	Endpoint  string // "https://account.blob.core.windows.net"; empty: that of the account in its cloud
	BlockSize int64  // bytes of the first blocks of a large object; 0: 4 MiB

	Credentials     []byte // lines NAME=value, of the variables that Azure's tools read; take precedence over the environment
	CredentialsFile string // with the same; empty: AZURE_CREDENTIALS_FILE
	KeyVariable     string // the variable that holds the account's key; empty: AZURE_STORAGE_KEY
	LookUpKey       bool   // where there is neither key nor SAS: ask the resource manager for the key with the identity, and not the store itself
	Subscription    string // of LookUpKey; empty: AZURE_SUBSCRIPTION_ID
	ResourceGroup   string // of LookUpKey; empty: AZURE_RESOURCE_GROUP
	Authority       string // where the identity logs in: "https://login.microsoftonline.com/"; empty: AZURE_AUTHORITY_HOST, that of the cloud

	CAFile string // PEM, besides the system's
	CA     []byte // PEM, besides the system's
	Words  link.Words
}

var syntax = link.Syntax{
	Scheme: "azblob", Form: "azblob://container/prefix?account=NAME", Holder: "container",
	Credentials: "the environment (AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN) or into a file (parameter credentials-file)",
	Parameters:  []string{"account", "endpoint", "credentials-file", "block-size", "ca"},
}

// Parse reads "azblob://container/prefix?account=NAME&endpoint=…&credentials-file=FILE&block-size=BYTES&ca=FILE". Its errors never quote a value.
func Parse(text string) (Config, error) {
	var cfg Config
	var err error
	if cfg.Container, cfg.Prefix, err = syntax.Parse(text, cfg.set); err != nil {
		return Config{}, err
	}
	return cfg, cfg.check()
}

func (cfg *Config) set(name, value string) (err error) {
	switch name {
	case "account":
		cfg.Account = value
	case "endpoint":
		cfg.Endpoint = value
	case "credentials-file":
		cfg.CredentialsFile = value
	case "ca":
		cfg.CAFile = value
	case "block-size":
		if cfg.BlockSize, err = strconv.ParseInt(value, 10, 64); err != nil {
			return fail.Errorf(fail.Invalid, "parameter %q in the store's URL must be a number of bytes", name)
		}
	}
	return nil
}

var (
	accountName   = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`)
)

const (
	defaultBlock = 4 << 20
	maxBlock     = 100 << 20 // of the first blocks: three of them are in memory
)

// check looks at the names, and brings Prefix, Endpoint and BlockSize into their forms.
func (cfg *Config) check() (err error) {
	if !accountName.MatchString(cfg.Account) {
		return fail.Errorf(fail.Invalid, "the name of the storage account is missing in %s, or cannot be right: it has 3 to 24 lower-case letters and digits", cfg.Words.Where())
	}
	if len(cfg.Container) > 63 || !containerName.MatchString(cfg.Container) {
		return fail.Errorf(fail.Invalid, "the container's name cannot be right: it has 3 to 63 lower-case letters, digits and single '-'")
	}
	if cfg.BlockSize == 0 {
		cfg.BlockSize = defaultBlock
	}
	if cfg.BlockSize < 0 || cfg.BlockSize > maxBlock {
		return fail.Errorf(fail.Invalid, "blocks of %d bytes are not possible: it is 1 to %d", cfg.BlockSize, maxBlock)
	}
	if cfg.Prefix, err = blob.Root(cfg.Prefix); err != nil || cfg.Endpoint == "" {
		return err
	}
	cfg.Endpoint = strings.TrimSuffix(cfg.Endpoint, "/")
	_, err = link.Endpoint(cfg.Endpoint, "https://account.blob.core.windows.net")
	return err
}
