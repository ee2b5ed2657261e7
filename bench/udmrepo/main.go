// SPDX-License-Identifier: Apache-2.0

// Command udmrepo saves and restores a folder by Velero's own code, as its node agent does: with its library of repositories and its uploader. Tests
// hold ours against it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"
	"github.com/vmware-tanzu/velero/pkg/repository/udmrepo"
	"github.com/vmware-tanzu/velero/pkg/repository/udmrepo/kopialib"
	"github.com/vmware-tanzu/velero/pkg/uploader"
	"github.com/vmware-tanzu/velero/pkg/uploader/kopia"

	upload "github.com/kopia/kopia/snapshot/upload"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run takes VERB ENDPOINT BUCKET PREFIX FOLDER and: restore a snapshot, save a source, maintain nothing more, create nothing more.
func run(ctx context.Context, args []string) error {
	if len(args) < 5 {
		return errors.New("usage: udmrepo restore|save|maintain|create ENDPOINT BUCKET PREFIX FOLDER [SNAPSHOT|SOURCE]")
	}
	state, err := os.MkdirTemp("", "udmrepo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	log := logrus.New()
	log.SetOutput(os.Stderr)
	service := kopialib.NewKopiaRepoService(log)
	o := udmrepo.RepoOptions{
		StorageType: udmrepo.StorageTypeS3, RepoPassword: "static-passw0rd", ConfigFilePath: filepath.Join(state, "config"), Description: "test",
		GeneralOptions: map[string]string{udmrepo.GenOptionOwnerName: udmrepo.GetRepoUser(), udmrepo.GenOptionOwnerDomain: udmrepo.GetRepoDomain()},
		StorageOptions: map[string]string{
			udmrepo.StoreOptionS3Endpoint: args[1], udmrepo.StoreOptionOssBucket: args[2], udmrepo.StoreOptionPrefix: args[3],
			udmrepo.StoreOptionS3KeyID: os.Getenv("AWS_ACCESS_KEY_ID"), udmrepo.StoreOptionS3SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
			udmrepo.StoreOptionOssRegion: "us-east-1", udmrepo.StoreOptionS3DisableTLS: "true", udmrepo.StoreOptionS3DisableTLSVerify: "true",
			udmrepo.StoreOptionCacheDir: filepath.Join(state, "cache"),
		},
	}
	if args[0] == "create" {
		return service.Create(ctx, o)
	}
	if ready, err := service.IsReady(ctx, o, false); err != nil || !ready {
		return fmt.Errorf("Velero does not take the repository for ready: %w", err)
	}
	if err := service.Connect(ctx, o); err != nil {
		return err
	}
	if args[0] == "maintain" {
		o.GeneralOptions[udmrepo.GenOptionMaintainMode] = udmrepo.GenOptionMaintainFull
		return service.Maintain(ctx, o)
	}
	r, err := service.Open(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close(ctx)
	w := kopia.NewShimRepo(r)
	if args[0] == "restore" {
		_, _, err := kopia.Restore(ctx, w, kopia.NewProgress(progress{}, 0, log), args[5], args[4], uploader.PersistentVolumeFilesystem, nil, log, nil)
		return err
	}
	u := upload.NewUploader(w)
	u.Progress = kopia.NewProgress(progress{}, 0, log)
	tags := map[string]string{uploader.SnapshotRequesterTag: "snapshot-pod-volume", uploader.SnapshotUploaderTag: uploader.KopiaType}
	saved, _, err := kopia.Backup(ctx, u, w, args[4], args[5], false, "", uploader.PersistentVolumeFilesystem, nil, tags, log)
	if err != nil {
		return err
	}
	fmt.Println(saved.ID)
	return nil
}

type progress struct{}

func (progress) UpdateProgress(*uploader.Progress) {}
