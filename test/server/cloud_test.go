// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/test/azureserver"
	"hozon.dev/hozon/test/gcsserver"
)

// installInto makes Secret and location "default" by our own installation, in place of those that a world has, and starts the server as its Deployment says,
// which nothing runs here: with the variables that name the file with the Secret in it.
func (w *world) installInto(secret []byte, args ...string) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), w.location("default", w.ns, true)); err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.dir, "credentials")
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.hozon([]string{"BackupStorageLocation/default: created", "Secret/cloud-credentials: created"},
		append([]string{"install", "--image", "hozon.test/hozon:1", "--use-volume-snapshots=false", "--secret-file", file}, args...)...)
	d := &appsv1.Deployment{ObjectMeta: w.meta("velero")}
	w.get(d)
	for _, e := range d.Spec.Template.Spec.Containers[0].Env {
		if e.Value == "/credentials/cloud" {
			w.env = append(w.env, e.Name+"="+file)
		}
	}
	s := &corev1.Secret{ObjectMeta: w.meta("cloud-credentials")}
	if w.get(s); string(s.Data["cloud"]) != string(secret) {
		w.t.Errorf("the Secret holds %d bytes, not the %d of the file", len(s.Data["cloud"]), len(secret))
	}
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
}

// lives does with our commands whatever is done with backups in a location: make, look at, read, restore, delete, and let one expire. keys has the names
// of what lies in its bucket.
func (w *world) lives(location string, keys func() []string) {
	t := w.t
	t.Helper()
	name := "in-" + location
	w.hozon([]string{"Backup completed with status: Completed"}, "backup", "create", name, "--include-namespaces", w.app, "--storage-location", location, "--wait")
	w.hozon([]string{"Backed up a total of"}, "backup", "logs", name)
	w.hozon([]string{"Phase:  Completed", "Storage Location:  " + location, w.app + "/settings"}, "backup", "describe", name, "--details")
	archive := filepath.Join(w.dir, name+".tar.gz")
	w.hozon([]string{"has been successfully downloaded"}, "backup", "download", name, "-o", archive)
	if info, err := os.Stat(archive); err != nil || info.Size() == 0 {
		t.Errorf("the archive that was downloaded: %v, %v", info, err)
	}

	target := w.app + "-" + location
	w.hozon([]string{"Restore completed with status: Completed"}, "restore", "create", name, "--from-backup", name, "--namespace-mappings", w.app+":"+target, "--wait")
	got := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target, Name: "settings"}}
	if w.get(got); got.Data["a"] != "b" {
		t.Errorf("the restored object has %v", got.Data)
	}
	w.hozon([]string{"configmaps/" + target + "/settings created"}, "restore", "logs", name)
	w.hozon([]string{"Phase:", "Completed"}, "restore", "describe", name, "--details")

	// What is in the bucket comes back into a cluster that does not know it.
	if err := w.client.Delete(t.Context(), w.backup(name)); err != nil {
		t.Fatal(err)
	}
	edit(w, w.location(location, "", false), func(l *velerov1.BackupStorageLocation) {
		l.Spec.BackupSyncPeriod = &velerov1.Duration{Duration: time.Second}
	})
	w.awaitBackup(name, velerov1.BackupPhaseCompleted)

	if below(keys(), "backups/"+name+"/") == 0 {
		t.Errorf("there is nothing of the backup in the bucket: %v", keys())
	}
	w.hozon(nil, "backup", "delete", name, "--confirm")
	await(w, w.backup(name), &velerov1.BackupList{}, deleted)
	w.hozon(nil, "backup", "create", "short-"+location, "--include-namespaces", w.app, "--storage-location", location, "--ttl", "2s")
	await(w, w.backup("short-"+location), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return b.Status.Phase == velerov1.BackupPhaseCompleted || deleted(b) })
	await(w, w.backup("short-"+location), &velerov1.BackupList{}, deleted)
	if left := keys(); below(left, "backups/")+below(left, "restores/")+below(left, "metadata/hozon/runs/") > 0 {
		t.Errorf("left in the bucket: %v", left)
	}
}

func below(keys []string, prefix string) (n int) {
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			n++
		}
	}
	return n
}

// TestServerAzure keeps backups in Azure Blob Storage, once with the account's key, as installed, and once with a shared access signature, which cannot sign
// URLs: there the server hands out the files itself.
func TestServerAzure(t *testing.T) {
	server := azureserver.Start(t, azureserver.TLS{})
	server.CreateContainer(t, "by-key")
	server.CreateContainer(t, "by-sas")
	credential, err := azblob.NewSharedKeyCredential(azureserver.Account, azureserver.Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential(server.Endpoint, credential, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(container string) func() []string {
		return func() []string {
			var all []string
			for pages := client.NewListBlobsFlatPager(container, nil); pages.More(); {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range page.Segment.BlobItems {
					all = append(all, *b.Name)
				}
			}
			return all
		}
	}
	w := newWorld(t)
	config := "storageAccount=" + azureserver.Account + ",storageAccountURI=" + server.Endpoint
	w.installInto([]byte("AZURE_CLOUD_NAME=AzurePublicCloud\nAZURE_STORAGE_ACCOUNT_ACCESS_KEY="+azureserver.Key+"\n"),
		"--provider", "azure", "--bucket", "by-key", "--backup-location-config", config+",storageAccountKeyEnvVar=AZURE_STORAGE_ACCOUNT_ACCESS_KEY")
	w.lives("default", keys("by-key"))

	signature, err := sas.BlobSignatureValues{
		Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Now().UTC().Add(time.Hour), ContainerName: "by-sas",
		Permissions: (&sas.ContainerPermissions{Read: true, Write: true, Create: true, Add: true, List: true, Delete: true}).String(),
	}.SignWithSharedKey(credential)
	if err != nil {
		t.Fatal(err)
	}
	w.create(&corev1.Secret{ObjectMeta: w.meta("sas"), StringData: map[string]string{"azure": "AZURE_STORAGE_SAS_TOKEN=" + signature.Encode() + "\n"}})
	w.hozon(nil, "backup-location", "create", "sas", "--provider", "velero.io/azure", "--bucket", "by-sas", "--config", config, "--credential", "sas=azure")
	w.awaitLocation("sas", velerov1.BackupStorageLocationPhaseAvailable)
	w.lives("sas", keys("by-sas"))
}

// TestServerGoogle keeps backups in Google Cloud Storage, as installed with a key file.
func TestServerGoogle(t *testing.T) {
	server := gcsserver.Start(t)
	server.CreateBucket(t, "bucket")
	w := newWorld(t)
	w.installInto(server.Key, "--provider", "gcp", "--bucket", "bucket", "--backup-location-config", "storeEndpoint="+server.Endpoint+"/storage/v1/")
	w.lives("default", func() []string {
		res, err := http.Get(server.Endpoint + "/storage/v1/b/bucket/o?" + url.Values{"maxResults": {"1000"}}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		var page struct{ Items []struct{ Name string } }
		if err := json.Unmarshal(text, &page); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		var all []string
		for _, o := range page.Items {
			all = append(all, o.Name)
		}
		return all
	})
}
