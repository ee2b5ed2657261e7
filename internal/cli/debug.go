// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/velero"
)

// bundleRoot is the folder of everything in a bundle, as in Velero's.
const bundleRoot = "velero-bundle/"

type debugOptions struct {
	output, backup, restore string
	verbose                 bool
}

func newDebug(e *env.Env) *cobra.Command {
	o := &debugOptions{}
	c := &cobra.Command{
		Use:   "debug",
		Short: "Collect what helps to find out what went wrong, in one file",
		Long: `Collect what helps to find out what went wrong, in one file (.tar.gz): all objects of velero.io in the server's namespace, the pods there and their logs, the
versions, and, of a backup and a restore, description and log.

There are no Secrets in it; signed URLs, and values of environment variables of pods, are taken out. What cannot be collected is named in errors.txt.`,
		Example: "  hozon debug --backup monday\n  hozon debug --restore back --output trouble.tar.gz",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	c.Flags().StringVar(&o.output, "output", "", "File to write (default ./bundle-TIME.tar.gz).")
	c.Flags().StringVar(&o.backup, "backup", "", "Also describe this backup, and take its log.")
	c.Flags().StringVar(&o.restore, "restore", "", "Also describe this restore, and take its log.")
	c.Flags().BoolVar(&o.verbose, "verbose", false, "Say what is collected.")
	return c
}

func (o *debugOptions) run(ctx context.Context, e *env.Env) error {
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	if o.output == "" {
		o.output = "./bundle-" + e.Now().Format("2006-01-02-15-04-05") + ".tar.gz"
	}
	file, err := os.OpenFile(o.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fail.Errorf(fail.Exists, "%s exists: give another name by --output, or remove it", o.output)
	} else if err != nil {
		return fail.Errorf(fail.Invalid, "--output: %w", err)
	}
	zipped := gzip.NewWriter(file)
	b := &bundle{env: e, server: server, tar: tar.NewWriter(zipped), verbose: o.verbose}
	b.collect(ctx, o)
	if err := errors.Join(b.err, context.Cause(ctx), b.tar.Close(), zipped.Close(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", o.output, err), os.Remove(o.output))
	}
	_, err = fmt.Fprintf(e.Out, "Generated debug information bundle: %s\n", o.output)
	return err
}

// bundle is the file that is written. What cannot be collected is noted, and the rest goes on; err is why it cannot be written.
type bundle struct {
	env     *env.Env
	server  velero.Client
	tar     *tar.Writer
	verbose bool
	missing []string
	err     error
}

func (b *bundle) collect(ctx context.Context, o *debugOptions) {
	b.command(ctx, "version.txt", "version")
	b.objects(ctx)
	b.pods(ctx)
	for noun, name := range map[string]string{"backup": o.backup, "restore": o.restore} {
		if name != "" {
			b.command(ctx, noun+"_describe_"+name+".txt", noun, "describe", name, "--details")
			b.command(ctx, noun+"_"+name+".log", noun, "logs", name)
		}
	}
	if len(b.missing) > 0 {
		b.add("errors.txt", []byte(strings.Join(b.missing, "\n")+"\n"))
		b.env.Say("%d things could not be collected: see errors.txt in the file.", len(b.missing))
	}
}

func (b *bundle) add(name string, data []byte) {
	if b.verbose {
		b.env.Say("%s: %d bytes", name, len(data))
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: bundleRoot + name, Size: int64(len(data)), Mode: 0o600, ModTime: b.env.Now().Truncate(time.Second)}
	err := b.tar.WriteHeader(h)
	if err == nil {
		_, err = b.tar.Write(data)
	}
	b.err = errors.Join(b.err, err)
}

func (b *bundle) lack(what string, err error) {
	b.missing = append(b.missing, fmt.Sprintf("%s: %v", what, err))
}

// command runs a command of this program, and takes what it prints.
func (b *bundle) command(ctx context.Context, name string, args ...string) {
	var out, talk bytes.Buffer
	own := *b.env
	own.Out, own.Err, own.In = &out, &talk, strings.NewReader("")
	root := New(&own)
	root.SetArgs(append(args, "--kubeconfig="+b.env.Kubeconfig, "--kubecontext="+b.env.KubeContext, "--namespace="+b.env.Namespace))
	if err := root.ExecuteContext(ctx); err != nil {
		b.lack(strings.Join(args, " "), errors.Join(err, nonempty(talk.String())))
	}
	b.add(name, out.Bytes())
}

func nonempty(text string) error {
	if text = strings.TrimSpace(text); text != "" {
		return errors.New(text)
	}
	return nil
}

// objects takes what the server works by.
func (b *bundle) objects(ctx context.Context) {
	types, problems, err := b.server.Cluster.Types(ctx, false)
	if err != nil {
		b.lack("what the cluster serves", err)
		return
	}
	for _, p := range problems {
		b.lack("API group "+p.GroupVersion(), p.Err)
	}
	for _, t := range types {
		if t.Group == velerov1.Group && t.Namespaced {
			b.list(ctx, "kubecapture/"+t.Group+"/"+t.Resource+".json", t, func(o map[string]any) {
				unstructured.RemoveNestedField(o, "status", "downloadURL") // as good as a password
				unstructured.RemoveNestedField(o, "metadata", "annotations", velerov1.AnnotationStream)
			})
		}
	}
}

// list takes all objects of a kind in the server's namespace.
func (b *bundle) list(ctx context.Context, name string, t object.Type, clean func(map[string]any)) {
	body, err := b.server.Cluster.List(ctx, t, cluster.ListOptions{Namespace: b.server.Namespace})
	if err != nil {
		b.lack(name, err)
		return
	}
	defer body.Close()
	var all struct{ Items []map[string]any }
	if err := json.NewDecoder(io.LimitReader(body, maxCollected)).Decode(&all); err != nil {
		b.lack(name, err)
		return
	}
	for _, o := range all.Items {
		unstructured.RemoveNestedField(o, "metadata", "managedFields")
		clean(o)
	}
	data, err := json.MarshalIndent(all.Items, "", "  ")
	if err != nil {
		b.lack(name, err)
		return
	}
	b.add(name, data)
}

// maxCollected bounds what is taken of one thing, in bytes.
const maxCollected = 64 << 20

var podType = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// pods takes the pods of the server's namespace, and their logs.
func (b *bundle) pods(ctx context.Context) {
	b.list(ctx, "kubecapture/core_v1/pods.json", podType, func(o map[string]any) {
		for _, list := range []string{"containers", "initContainers"} {
			containers, _, _ := unstructured.NestedSlice(o, "spec", list)
			for _, c := range containers {
				blank(c)
			}
			if containers != nil {
				_ = unstructured.SetNestedSlice(o, containers, "spec", list) // it was there
			}
		}
	})
	body, err := b.server.Cluster.List(ctx, podType, cluster.ListOptions{Namespace: b.server.Namespace})
	if err != nil {
		return // it was said
	}
	defer body.Close()
	var all corev1.PodList
	if err := json.NewDecoder(io.LimitReader(body, maxCollected)).Decode(&all); err != nil {
		return
	}
	for _, p := range all.Items {
		for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			b.log(ctx, p.Name, s.Name, false)
			if s.RestartCount > 0 {
				b.log(ctx, p.Name, s.Name, true)
			}
		}
	}
}

// blank takes the values out of the environment of a container.
func blank(container any) {
	c, _ := container.(map[string]any)
	variables, _ := c["env"].([]any)
	for _, v := range variables {
		if v, ok := v.(map[string]any); ok && v["value"] != nil {
			v["value"] = "(left out)"
		}
	}
}

// log takes the log of a container that runs, or of the one that ran before it.
func (b *bundle) log(ctx context.Context, pod, container string, previous bool) {
	query, name := url.Values{"container": {container}}, "kubecapture/core_v1/"+pod+"/"+container
	if previous {
		query.Set("previous", "true")
		name += ".previous"
	}
	body, err := b.server.Cluster.Open(ctx, podType, b.server.Namespace, pod, "log", query)
	if err != nil {
		b.lack("log of "+pod+"/"+container, err)
		return
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxCollected))
	if err != nil {
		b.lack("log of "+pod+"/"+container, err)
	}
	b.add(name+".log", data)
}
