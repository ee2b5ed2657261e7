// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
)

// StartHozon starts hozon's server in Velero's place, and returns when it has found its bucket and rests.
func StartHozon(ctx context.Context, binary string, c *clustertest.Cluster, o Config) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	metrics, err := daemon.ReservePort()
	if err != nil {
		return nil, fmt.Errorf("start hozon: %w", err)
	}
	defer metrics.Close()
	if err := locate(ctx, c, o.Bucket); err != nil {
		return nil, fmt.Errorf("start hozon: %w", err)
	}
	process, err := daemon.Start(daemon.Command{
		Name: "hozon", Path: binary, Dir: o.Dir,
		Args: append([]string{"server", "--namespace", Namespace, "--metrics-address", metrics.Addr()}, o.Flags...),
		Env: []string{
			"KUBECONFIG=" + c.Kubeconfig(), "TMPDIR=" + o.Temp,
			"AWS_ACCESS_KEY_ID=" + o.Bucket.AccessKey, "AWS_SECRET_ACCESS_KEY=" + o.Bucket.SecretKey, "AWS_EC2_METADATA_DISABLED=true",
		},
	})
	if err != nil {
		return nil, err
	}
	s := &Server{cluster: c, process: process, temp: o.Temp}
	if err := s.ready(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// BackupOf backs up one namespace.
func (s *Server) BackupOf(ctx context.Context, name, namespace string) (Run, error) {
	return s.job(ctx, "backups", "Backup", name, object{"includedNamespaces": []string{namespace}, "storageLocation": locationName, "ttl": "720h0m0s"})
}

// Late makes a schedule for every minute, and returns how long after its time the second backup appears: the first may still be near the schedule's making.
func (s *Server) Late(ctx context.Context, name, namespace string) (time.Duration, error) {
	o := object{"apiVersion": "velero.io/v1", "kind": "Schedule", "metadata": object{"name": name}, "spec": object{
		"schedule": "* * * * *", "template": object{"includedNamespaces": []string{namespace}, "storageLocation": locationName, "ttl": "1h0m0s"},
	}}
	if err := post(ctx, s.cluster, path("schedules"), o); err != nil {
		return 0, err
	}
	defer func() {
		_, _ = request(context.WithoutCancel(ctx), s.cluster, "DELETE", path("schedules")+"/"+name, nil, 200, 404)
	}()
	deadline := time.Now().Add(5 * time.Minute)
	for ; time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // fine enough for lateness in tenths of a second
		body, err := request(ctx, s.cluster, "GET", path("backups")+"?labelSelector=velero.io/schedule-name="+name, nil, 200)
		if err != nil {
			return 0, err
		}
		var list struct {
			Items []struct{ Metadata struct{ Name string } }
		}
		if err := json.Unmarshal(body, &list); err != nil {
			return 0, err
		}
		if len(list.Items) == 2 {
			now := time.Now()
			return now.Sub(now.Truncate(time.Minute)), nil
		}
		if s.process.Exited() != nil {
			return 0, s.process.Exited()
		}
	}
	return 0, fmt.Errorf("schedule %s made no second backup within five minutes", name)
}
