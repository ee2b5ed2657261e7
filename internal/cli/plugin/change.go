// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/install"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/velero"
)

// deployment is what the server's Deployment is called.
const deployment = install.Deployment

var deployments = object.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}

func newAdd(e *env.Env) *cobra.Command {
	pull := string(corev1.PullIfNotPresent)
	var confirm bool
	var output env.Output
	c := &cobra.Command{
		Use:     "add IMAGE",
		Short:   "Add a plugin to the server",
		Example: "  hozon plugin add registry.example.com/velero-plugin-for-example:v1.2.3",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			policies := []string{string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever)}
			if !slices.Contains(policies, pull) {
				return env.Usagef("--image-pull-policy %q: use one of %q", pull, policies)
			}
			return change(c.Context(), e, output.Format, confirm, func(d *appsv1.Deployment) error { return add(d, args[0], corev1.PullPolicy(pull)) })
		},
	}
	c.Flags().StringVar(&pull, "image-pull-policy", pull, "When the image is pulled: Always, IfNotPresent or Never.")
	addFlags(c, &confirm, &output)
	return c
}

func newRemove(e *env.Env) *cobra.Command {
	var confirm bool
	var output env.Output
	c := &cobra.Command{
		Use:     "remove NAME | IMAGE",
		Short:   "Remove a plugin from the server",
		Example: "  hozon plugin remove registry.example.com/velero-plugin-for-example:v1.2.3",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			return change(c.Context(), e, output.Format, confirm, func(d *appsv1.Deployment) error { return remove(d, args[0]) })
		},
	}
	addFlags(c, &confirm, &output)
	return c
}

func addFlags(c *cobra.Command, confirm *bool, output *env.Output) {
	c.Flags().BoolVar(confirm, "confirm", false, "Do not ask. The server restarts, and what it is working on with it.")
	output.AddFlag(c.Flags(), "", "json", "yaml")
	c.Flags().Lookup("output").Usage = "Print the Deployment as json or yaml and do not change it."
}

// change edits the server's Deployment, which restarts the server, after asking.
func change(ctx context.Context, e *env.Env, format string, confirmed bool, edit func(*appsv1.Deployment) error) error {
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	before, err := server.Cluster.Get(ctx, deployments, server.Namespace, deployment)
	if err != nil {
		return fmt.Errorf("find the server: %w", err)
	}
	var d appsv1.Deployment
	if err := json.Unmarshal(before, &d); err != nil {
		return fmt.Errorf("read Deployment %s/%s: %w", server.Namespace, deployment, err)
	}
	if err := edit(&d); err != nil {
		return err
	}
	if format != "" {
		return e.Print(format, &d)
	}
	if !confirmed {
		e.Say("This restarts the server in namespace %s, and what it is working on.", server.Namespace)
		if !e.Confirm() {
			e.Say("Nothing was changed.")
			return env.Ended{Code: env.ExitFailed}
		}
	}
	return patch(ctx, server, &d)
}

// patch puts the init containers in, if the Deployment is still as it was read.
func patch(ctx context.Context, c velero.Client, d *appsv1.Deployment) error {
	body, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/resourceVersion", "value": d.ResourceVersion},
		{"op": "add", "path": "/spec/template/spec/initContainers", "value": d.Spec.Template.Spec.InitContainers},
	})
	if err != nil {
		return err
	}
	_, err = c.Cluster.Patch(ctx, deployments, c.Namespace, deployment, types.JSONPatchType, body, cluster.WriteOptions{FieldManager: "hozon"})
	return err
}

func add(d *appsv1.Deployment, image string, pull corev1.PullPolicy) error {
	pod := &d.Spec.Template.Spec
	if i := find(pod.InitContainers, image); i >= 0 {
		return fail.Errorf(fail.Exists, "plugin %s is there already, as %s", image, pod.InitContainers[i].Name)
	}
	pod.InitContainers = append(pod.InitContainers, install.PluginContainer(image, pull))
	return nil
}

func remove(d *appsv1.Deployment, name string) error {
	pod := &d.Spec.Template.Spec
	i := find(pod.InitContainers, name)
	if i < 0 {
		return fail.Errorf(fail.NotFound, "init container %s not found in Velero server deployment", name)
	}
	pod.InitContainers = append([]corev1.Container{}, slices.Delete(pod.InitContainers, i, i+1)...)
	return nil
}

func find(containers []corev1.Container, name string) int {
	return slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name || c.Image == name })
}
