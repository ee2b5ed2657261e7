// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

// Open checks cfg and finds credentials. It does not speak to the store's server (to Azure's resource manager it does, with LookUpKey): whether container and rights are
// right shows at the first call.
func Open(ctx context.Context, cfg Config) (*Bucket, error) {
	b := &Bucket{account: cfg.Account, name: cfg.Container, blockSize: cfg.BlockSize, words: cfg.Words, tls: cfg.Words.TLS(cfg.CAFile, cfg.CA), pool: &part.Pool{}}
	if err := b.open(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open store azblob://%s: %w", cfg.Container, err)
	}
	return b, nil
}

func (b *Bucket) open(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	b.prefix, b.blockSize = cfg.Prefix, cfg.BlockSize
	transport, err := cfg.Words.TLS(cfg.CAFile, cfg.CA).Transport()
	if err != nil {
		return err
	}
	vars, err := cfg.variables()
	if err != nil {
		return err
	}
	conf, ok := clouds[strings.ToUpper(vars.get("AZURE_CLOUD_NAME"))]
	if !ok {
		return fail.Errorf(fail.Invalid, "unknown cloud %q in AZURE_CLOUD_NAME: known are AzurePublicCloud, AzureUSGovernmentCloud and AzureChinaCloud", vars.get("AZURE_CLOUD_NAME"))
	}
	authority := cmp.Or(cfg.Authority, vars.get("AZURE_AUTHORITY_HOST"))
	conf.ActiveDirectoryAuthorityHost = cmp.Or(authority, conf.ActiveDirectoryAuthorityHost)
	b.endpoint = cmp.Or(cfg.Endpoint, "https://"+cfg.Account+"."+conf.suffix)
	opener := opener{cfg: cfg, vars: vars, authority: authority, options: options(conf.Configuration, transport)}
	client, err := opener.client(ctx, b)
	if err != nil {
		return err
	}
	b.service, b.container = client, client.NewContainerClient(cfg.Container)
	return nil
}

// opener finds the credentials of one bucket.
type opener struct {
	cfg       Config
	vars      variables
	authority string
	options   policy.ClientOptions
}

// client returns the client with the first of: the account's key, a SAS, the key that the resource manager gives, the identity itself.
func (o opener) client(ctx context.Context, b *Bucket) (*service.Client, error) {
	variable := cmp.Or(o.cfg.KeyVariable, "AZURE_STORAGE_KEY")
	if key := o.vars.get(variable); key != "" {
		b.source = fmt.Sprintf("the account key from %s (%s)", o.vars.source, variable)
		return o.withKey(b, key)
	}
	if sas := strings.TrimPrefix(o.vars.get("AZURE_STORAGE_SAS_TOKEN"), "?"); sas != "" {
		b.source, b.bySAS = "the SAS from "+o.vars.source+" (AZURE_STORAGE_SAS_TOKEN)", true
		if values, err := url.ParseQuery(sas); err != nil || values.Get("sig") == "" {
			return nil, fail.Errorf(fail.Denied, "AZURE_STORAGE_SAS_TOKEN from %s is no shared access signature: it has to look like sv=…&sig=…", o.vars.source)
		}
		return service.NewClientWithNoCredential(b.endpoint+"/?"+sas, &service.ClientOptions{ClientOptions: o.options})
	}
	identity, source, err := o.vars.identity(o.authority, o.options)
	if err != nil {
		return nil, fail.Errorf(fail.Denied, "use %s: %w", source, err)
	}
	b.source = source
	if !o.cfg.LookUpKey {
		return service.NewClient(b.endpoint, identity, &service.ClientOptions{ClientOptions: o.options})
	}
	key, err := o.lookUpKey(ctx, identity)
	if err != nil {
		return nil, b.explain("look up the key of storage account "+o.cfg.Account, "", err)
	}
	b.source = "the account key that " + source + " was given"
	return o.withKey(b, key)
}

func (o opener) withKey(b *Bucket, key string) (*service.Client, error) {
	credential, err := service.NewSharedKeyCredential(o.cfg.Account, key)
	if err != nil {
		return nil, fail.Errorf(fail.Denied, "%s is not in base64, as keys of accounts are", b.source)
	}
	b.key = credential
	return service.NewClientWithSharedKeyCredential(b.endpoint, credential, &service.ClientOptions{ClientOptions: o.options})
}

// lookUpKey asks Azure's resource manager for a key of the account that may do everything.
func (o opener) lookUpKey(ctx context.Context, identity azcore.TokenCredential) (string, error) {
	subscription := cmp.Or(o.cfg.Subscription, o.vars.get("AZURE_SUBSCRIPTION_ID"))
	group := cmp.Or(o.cfg.ResourceGroup, o.vars.get("AZURE_RESOURCE_GROUP"))
	if subscription == "" || group == "" {
		return "", fail.Errorf(fail.Invalid, "subscriptionId and resourceGroup have to be set in %s, or useAAD to true, which needs neither", o.cfg.Words.Where())
	}
	client, err := arm.NewClient("hozon", "v1.0.0", identity, &arm.ClientOptions{ClientOptions: o.options, DisableRPRegistration: true})
	if err != nil {
		return "", err
	}
	request, err := runtime.NewRequest(ctx, http.MethodPost, runtime.JoinPaths(client.Endpoint(), "subscriptions", url.PathEscape(subscription), "resourceGroups", url.PathEscape(group),
		"providers/Microsoft.Storage/storageAccounts", url.PathEscape(o.cfg.Account), "listKeys")+"?api-version=2023-01-01")
	if err != nil {
		return "", err
	}
	response, err := client.Pipeline().Do(request)
	if err != nil {
		return "", err
	}
	if !runtime.HasStatusCode(response, http.StatusOK) {
		return "", runtime.NewResponseError(response)
	}
	var answer struct {
		Keys []struct{ Value, Permissions string } `json:"keys"`
	}
	if err := runtime.UnmarshalAsJSON(response, &answer); err != nil {
		return "", err
	}
	for _, key := range answer.Keys {
		if strings.EqualFold(key.Permissions, "full") {
			return key.Value, nil
		}
	}
	return "", fail.Errorf(fail.Denied, "the account has no key that may do everything")
}
