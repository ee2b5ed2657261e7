// SPDX-License-Identifier: Apache-2.0

package install

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Where the plugins of a server lie, and where their images copy them to: as Velero has it.
const (
	pluginVolume = "plugins"
	mountTarget  = "/target"
)

// cloudPlugins are the images, without registry and tag, whose object stores our server has itself. Their snapshotters it does not have.
var cloudPlugins = []string{"velero-plugin-for-aws", "velero-plugin-for-gcp", "velero-plugin-for-microsoft-azure"}

// builtInPlugins are those whose whole work it does.
var builtInPlugins = []string{"velero-plugin-for-csi"}

// BuiltIn says that our server does what a plugin of this image does: all of it, or, without native snapshots, all that is left then.
func BuiltIn(image string, snapshots bool) bool {
	name := image[strings.LastIndex(image, "/")+1:]
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return slices.Contains(builtInPlugins, name) || !snapshots && slices.Contains(cloudPlugins, name)
}

// PluginContainer copies the plugins of an image to where the server looks for them.
func PluginContainer(image string, pull corev1.PullPolicy) corev1.Container {
	return corev1.Container{
		Name: containerName(image), Image: image, ImagePullPolicy: pull,
		VolumeMounts: []corev1.VolumeMount{{Name: pluginVolume, MountPath: mountTarget}},
	}
}

// plugins are the init containers of the plugins that are asked for.
func (o Options) plugins() []corev1.Container {
	var all []corev1.Container
	for _, image := range o.Plugins {
		if !BuiltIn(image, o.SnapshotLocation) {
			all = append(all, PluginContainer(image, corev1.PullIfNotPresent))
		}
	}
	return all
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// maxName is the longest name of a container.
const maxName = 63

// containerName is the image without registry and tag, as a container may be called.
func containerName(image string) string {
	path, _, _ := strings.Cut(image, "@")
	if slash, colon := strings.LastIndex(path, "/"), strings.LastIndex(path, ":"); colon > slash {
		path = path[:colon]
	}
	if registry, rest, ok := strings.Cut(path, "/"); ok && strings.ContainsAny(registry, ".:") {
		path = rest
	}
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(path), "-"), "-")
	return strings.Trim(name[:min(len(name), maxName)], "-")
}
