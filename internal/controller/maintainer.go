// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// Maintenance is bounded: it works through indexes and lists, which grow with the repository, and nobody waits for it.
const (
	maintenanceGoLimit = "900MiB"
	maintenanceTimeout = 6 * time.Hour
	maintenancePause   = 2 * time.Second // after a watch that has ended
)

// MaintenanceFailure begins the message of maintenance that failed, as Velero has it.
const MaintenanceFailure = "Repo maintenance error: "

// maintenanceArgs are the command line of the command that maintains a repository: Velero's.
func maintenanceArgs(r *velerov1.BackupRepository) []string {
	return []string{
		"repo-maintenance", "--repo-name=" + r.Spec.VolumeNamespace, "--repo-type=" + velerov1.RepositoryTypeKopia,
		"--backup-storage-location=" + r.Spec.BackupStorageLocation, "--log-level=info", "--log-format=text",
	}
}

// ended reads what maintenance has told of its end.
func ended(message string) (done Maintained, err error) {
	if text, failed := strings.CutPrefix(strings.TrimSpace(message), MaintenanceFailure); failed {
		return done, errors.New(text)
	}
	if err := json.Unmarshal([]byte(message), &done); err != nil {
		return done, fail.Errorf(fail.Unknown, "maintenance ended without telling how: %q", message[:min(len(message), 200)])
	}
	return done, nil
}

// MaintainProcess maintains repositories in processes of their own beside the server: one that runs outside of the cluster, or has no image.
type MaintainProcess struct {
	Program string   // this one
	Args    []string // in front: which cluster, which namespace
}

// Maintain implements Maintainer.
func (m *MaintainProcess) Maintain(ctx context.Context, r *velerov1.BackupRepository) (Maintained, error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, m.Program, append(maintenanceArgs(r), m.Args...)...)
	c.Env = append(os.Environ(), "GOMEMLIMIT="+maintenanceGoLimit)
	c.WaitDelay = 10 * time.Second
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	err := c.Run()
	if ctx.Err() != nil {
		return Maintained{}, context.Cause(ctx)
	}
	done, told := ended(out.String())
	if err != nil && told == nil {
		told = err
	}
	if told != nil && out.Len() == 0 {
		told = fmt.Errorf("%w: %s", err, lastLine(log.String()))
	}
	return done, told
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// MaintainJob maintains repositories in Jobs, whose pods are like the server's.
type MaintainJob struct {
	*Site
	Cluster    *cluster.Client
	Deployment string // the server's
	ConfigMap  string // with the settings of Jobs; "": the defaults
}

var jobType = object.Type{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}

// Maintain implements Maintainer. It takes up the Job that a server before has begun.
func (m *MaintainJob) Maintain(ctx context.Context, r *velerov1.BackupRepository) (Maintained, error) {
	set, err := m.settings(ctx, r)
	if err != nil {
		return Maintained{}, err
	}
	all, err := m.jobs(ctx, r)
	if err != nil {
		return Maintained{}, err
	}
	m.tidy(ctx, all, set.kept())
	i := slices.IndexFunc(all, func(j batchv1.Job) bool { _, over := jobEnd(&j); return !over })
	if i >= 0 {
		return m.wait(ctx, &all[i])
	}
	job, err := m.job(ctx, r, set)
	if err != nil {
		return Maintained{}, err
	}
	if err := m.Client.Create(ctx, job); err != nil {
		return Maintained{}, fmt.Errorf("create Job %s: %w", job.Name, err)
	}
	done, err := m.wait(ctx, job)
	if ctx.Err() == nil {
		if all, problem := m.jobs(ctx, r); problem == nil { // what is not removed now is removed next time
			m.tidy(ctx, all, set.kept())
		}
	}
	return done, err
}

// jobs are those of a repository, the youngest first.
func (m *MaintainJob) jobs(ctx context.Context, r *velerov1.BackupRepository) ([]batchv1.Job, error) {
	var all batchv1.JobList
	if err := m.Live.List(ctx, &all, client.InNamespace(m.Namespace), client.MatchingLabels{velerov1.LabelRepositoryName: velerov1.LabelValue(r.Name)}); err != nil {
		return nil, fmt.Errorf("list Jobs: %w", err)
	}
	slices.SortStableFunc(all.Items, func(a, b batchv1.Job) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	return all.Items, nil
}

// tidy removes Jobs that have ended, and their pods, but for the youngest.
func (m *MaintainJob) tidy(ctx context.Context, all []batchv1.Job, keep int) {
	for i := range all {
		if _, over := jobEnd(&all[i]); !over {
			continue
		}
		if keep--; keep >= 0 {
			continue
		}
		err := m.Client.Delete(ctx, &all[i], client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			m.Log.Warn("a maintenance Job that has ended was not removed", "job", all[i].Name, "error", err)
		}
	}
}

func jobEnd(j *batchv1.Job) (failed, over bool) {
	for _, c := range j.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return c.Type == batchv1.JobFailed, true
		}
	}
	return false, false
}

// wait watches a Job until it has ended.
func (m *MaintainJob) wait(ctx context.Context, job *batchv1.Job) (Maintained, error) {
	key := client.ObjectKeyFromObject(job)
	for {
		err := m.Live.Get(ctx, key, job)
		if err == nil {
			err = m.watch(ctx, job)
		}
		failed, over := jobEnd(job)
		switch {
		case apierrors.IsNotFound(err):
			return Maintained{}, fmt.Errorf("somebody has deleted Job %s", key.Name)
		case err == nil && over:
			return m.result(ctx, job, failed)
		}
		select {
		case <-ctx.Done():
			return Maintained{}, context.Cause(ctx)
		case <-time.After(maintenancePause):
		}
	}
}

// watch brings job up to date until it has ended, or is deleted, or the watch is over.
func (m *MaintainJob) watch(ctx context.Context, job *batchv1.Job) error {
	if _, over := jobEnd(job); over {
		return nil
	}
	events, err := m.Cluster.Watch(ctx, jobType, job.Namespace, job.ResourceVersion, cluster.WatchOptions{FieldSelector: "metadata.name=" + job.Name})
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		e, err := events.Next()
		if err != nil || e.Type == "DELETED" {
			return err // whether it is gone is seen when it is read again
		}
		var now batchv1.Job
		if err := json.Unmarshal(e.Object, &now); err != nil {
			return err
		}
		*job = now
		if _, over := jobEnd(job); over {
			return nil
		}
	}
}

// result reads the message that the Job's container has left.
func (m *MaintainJob) result(ctx context.Context, job *batchv1.Job, failed bool) (Maintained, error) {
	var pods corev1.PodList
	if err := m.Live.List(ctx, &pods, client.InNamespace(m.Namespace), client.MatchingLabels{batchv1.JobNameLabel: job.Name}); err != nil {
		return Maintained{}, fmt.Errorf("list the pods of Job %s: %w", job.Name, err)
	}
	for i := range pods.Items {
		for _, c := range pods.Items[i].Status.ContainerStatuses {
			if t := c.State.Terminated; t != nil {
				if t.Reason == "OOMKilled" {
					return Maintained{}, fmt.Errorf("the Job %s needed more memory than it may have: raise memoryLimit in the ConfigMap of --repo-maintenance-job-configmap", job.Name)
				}
				done, err := ended(t.Message)
				if err == nil && failed {
					err = fmt.Errorf("the Job %s ended with code %d", job.Name, t.ExitCode)
				}
				return done, err
			}
		}
	}
	text := "its pod is gone"
	for _, c := range job.Status.Conditions {
		if c.Message != "" {
			text = c.Message
		}
	}
	return Maintained{}, fmt.Errorf("the Job %s: %s", job.Name, text)
}

// job is Velero's: the server's pod, with another command and bounds of its own.
func (m *MaintainJob) job(ctx context.Context, r *velerov1.BackupRepository, set jobSettings) (*batchv1.Job, error) {
	var d appsv1.Deployment
	if err := m.Live.Get(ctx, m.key(m.Deployment), &d); err != nil {
		return nil, fmt.Errorf("read the server's Deployment %s: %w", m.Deployment, err)
	}
	server := d.Spec.Template.Spec
	if len(server.Containers) == 0 {
		return nil, fail.Errorf(fail.Invalid, "the server's Deployment %s has no container", m.Deployment)
	}
	own := server.Containers[0]
	resources, err := set.Resources.requirements()
	if err != nil {
		return nil, err
	}
	once, seconds := int32(0), int64(maintenanceTimeout/time.Second)
	labels := map[string]string{velerov1.LabelRepositoryName: velerov1.LabelValue(r.Name)}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: m.Namespace, Name: jobName(r.Name, m.Now()), Labels: labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: velerov1.Group + "/v1", Kind: "BackupRepository", Name: r.Name, UID: r.UID}},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit: &once, ActiveDeadlineSeconds: &seconds,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: with(set.Labels, labels), Annotations: set.Annotations},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: server.ServiceAccountName, ImagePullSecrets: server.ImagePullSecrets,
					SecurityContext: server.SecurityContext, PriorityClassName: cmp.Or(set.PriorityClass, server.PriorityClassName),
					Tolerations: server.Tolerations, Volumes: server.Volumes,
					Containers: []corev1.Container{{
						Name: "velero-repo-maintenance-container", Image: own.Image, ImagePullPolicy: own.ImagePullPolicy, Command: own.Command,
						Args: append(maintenanceArgs(r), "--termination-log=/dev/termination-log"),
						Env:  append(own.Env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: goLimit(resources)}), EnvFrom: own.EnvFrom,
						VolumeMounts: own.VolumeMounts, SecurityContext: own.SecurityContext, Resources: resources,
						TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
					}},
				},
			},
		},
	}
	set.place(&job.Spec.Template.Spec, &server)
	return job, nil
}

// goLimit leaves some of the memory for what the runtime does not count.
func goLimit(r corev1.ResourceRequirements) string {
	limit, ok := r.Limits[corev1.ResourceMemory]
	if !ok || limit.IsZero() {
		return maintenanceGoLimit
	}
	return strconv.FormatInt(limit.Value()*9/10, 10)
}

// jobName is Velero's.
func jobName(repository string, now time.Time) string {
	tail := "maintain-job-" + strconv.FormatInt(now.UnixMilli(), 10)
	if name := repository + "-" + tail; len(name) <= 63 {
		return name
	}
	return "repo-" + tail
}
