// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/velero"
)

// mayReplace says whether ours may take the place of the server that is there, and waits until it has nothing to do.
func (i *Installer) mayReplace(ctx context.Context, before *appsv1.Deployment, all []Manifest) error {
	var ours *appsv1.Deployment
	for _, m := range all {
		if m.Type.Resource == deployments.Resource {
			ours = &appsv1.Deployment{}
			if err := json.Unmarshal(m.Body, ours); err != nil {
				return err
			}
		}
	}
	if ours == nil { // only CRDs: the server goes on
		return nil
	}
	if have, want := before.Spec.Selector.MatchLabels, ours.Spec.Selector.MatchLabels; !maps.Equal(have, want) {
		return fail.Errorf(fail.Exists, "Deployment %s/%s was made by another installer (Helm, say): its selector is %v, which cannot be changed to %v; "+
			"delete the Deployment, not the release, and install again: `kubectl -n %s delete deployment %s`", i.Namespace, Deployment, have, want, i.Namespace, Deployment)
	}
	if unknown := plugins(before); len(unknown) > 0 && !i.KeepPlugins {
		return fail.Errorf(fail.Unsupported, "the server in namespace %s has plugins that are not built in: %s; of what they do, object stores and volume snapshotters only would be done. "+
			"Install with --keep-plugins to go on: they stay in the Deployment", i.Namespace, strings.Join(unknown, ", "))
	}
	if i.Now || before.Status.ReadyReplicas == 0 {
		return nil
	}
	return i.awaitIdle(ctx)
}

// plugins are the plugins of a server that ours does not replace.
func plugins(d *appsv1.Deployment) []string {
	var unknown []string
	for _, c := range d.Spec.Template.Spec.InitContainers {
		mounts := func(m corev1.VolumeMount) bool { return m.Name == pluginVolume }
		if !BuiltIn(c.Image, false) && slices.ContainsFunc(c.VolumeMounts, mounts) {
			unknown = append(unknown, c.Image)
		}
	}
	return unknown
}

// idleLook is the time between two looks at whether the server is at work.
const idleLook = time.Second

func (i *Installer) awaitIdle(ctx context.Context) error {
	said := ""
	for {
		busy, err := i.running(ctx)
		if err != nil || len(busy) == 0 {
			return err
		}
		if text := strings.Join(busy, ", "); text != said {
			i.Say("Waiting for the server that is there to end %s (or install with --now, which makes it fail).", text)
			said = text
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(idleLook):
		}
	}
}

// running are the runs that would be lost with the server. Those that wait for others, or that only wait to be finished, are taken over.
func (i *Installer) running(ctx context.Context) ([]string, error) {
	backups, err := velero.Backups.List(ctx, i.server(), "")
	if err != nil {
		return nil, err
	}
	restores, err := velero.Restores.List(ctx, i.server(), "")
	if err != nil {
		return nil, err
	}
	var busy []string
	for _, b := range backups {
		if b.Status.Phase == velerov1.BackupPhaseInProgress {
			busy = append(busy, "backup "+b.Name)
		}
	}
	for _, r := range restores {
		if r.Status.Phase == velerov1.RestorePhaseInProgress {
			busy = append(busy, "restore "+r.Name)
		}
	}
	return busy, nil
}
