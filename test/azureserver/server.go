// SPDX-License-Identifier: Apache-2.0

// Package azureserver runs Azurite, Microsoft's own emulator of Azure Blob Storage, for tests: names, signatures, blocks and conditions as its clients meet them.
package azureserver

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/gcsserver"
)

// Account and Key are those of every server: the emulator's, which are published.
const (
	Account = "devstoreaccount1"
	Key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// A Server is a store of one account.
type Server struct {
	Endpoint string // http://127.0.0.1:port/account
}

// TLS has a server speak TLS, and take the tokens of identities.
type TLS struct{ CertFile, KeyFile string }

// Start starts a server for t alone, which ends when t does; with -short it skips t. Without a certificate it speaks plain HTTP.
func Start(t testing.TB, tls TLS) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a server of Azure Blob Storage")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	binary, err := daemon.Build(ctx, "tools/azure/install")
	if err != nil {
		t.Fatal(err)
	}
	port, err := daemon.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	dir := filepath.Join(t.TempDir(), "azure")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"--blobPort", strconv.Itoa(port.Number), "--location", dir, "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--blobKeepAliveTimeout", "60"}
	scheme := "http://"
	if tls.CertFile != "" {
		scheme = "https://"
		args = append(args, "--cert", tls.CertFile, "--key", tls.KeyFile, "--oauth", "basic")
	}
	process, err := daemon.Start(daemon.Command{Name: "azurite", Path: binary, Args: args, Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- %s\n%s", process.Name(), process.LogTail(30))
		}
		process.Kill()
	})
	gcsserver.Await(t, process, port.Addr())
	return &Server{Endpoint: scheme + port.Addr() + "/" + Account}
}

// CreateContainer makes a container at a server that speaks plain HTTP.
func (s *Server) CreateContainer(t testing.TB, name string) {
	t.Helper()
	credential, err := azblob.NewSharedKeyCredential(Account, Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential(s.Endpoint, credential, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateContainer(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
}
