// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/fail"
)

// busy is a pod with a volume of every sort that counts, all of them mounted but for idle.
const busy = `{"metadata":{"namespace":"shop","name":"web","annotations":{%s}},"spec":{
	"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"d"}},{"name":"cache","emptyDir":{}},{"name":"scratch","ephemeral":{}},
		{"name":"share","nfs":{"server":"192.0.2.1","path":"/x"}},{"name":"inline","csi":{"driver":"a"}},{"name":"gone","persistentVolumeClaim":{"claimName":"left-out"}},
		{"name":"node","hostPath":{"path":"/"}},{"name":"s","secret":{}},{"name":"c","configMap":{}},{"name":"p","projected":{}},{"name":"w","downwardAPI":{}},
		{"name":"i","image":{}},{"name":"default-token-abcde","emptyDir":{}},{"name":"idle","emptyDir":{}}],
	"initContainers":[{"volumeMounts":[{"name":"cache"}]}],
	"containers":[{"volumeMounts":[{"name":"data"},{"name":"scratch"},{"name":"share"},{"name":"inline"},{"name":"gone"},{"name":"node"},{"name":"s"}]}]},
	"status":{"phase":"%s"}}`

// TestChoose: which volumes of a pod are saved file by file, and what becomes of the others.
func TestChoose(t *testing.T) {
	const in, out = `"backup.velero.io/backup-volumes":"data, share,nothing"`, `"backup.velero.io/backup-volumes-excludes":"cache,inline"`
	for _, c := range []struct{ name, annotations, phase, policies, want string }{
		{"nobody asks", "", "Running", "", "data:- cache:- scratch:- share:- inline:- idle:-"},
		{"by name", in, "Running", "", "data:+ cache:- scratch:- share:+ inline:- idle:- nothing:! the pod has no volume of that name"},
		{"excludes mean nothing then", out, "Running", "", "data:- cache:- scratch:- share:- inline:- idle:-"},
		{"all", "", "Running all", "", "data:+ cache:+ scratch:+ share:+ inline:+ idle:! no container of the pod mounts it"},
		{"all but some", in + "," + out, "Running all", "", "data:+ cache:- scratch:+ share:+ inline:- idle:! no container of the pod mounts it"},
		{"a pod that waits", in, "Pending", "", "data:! the pod is not running cache:- scratch:- share:! the pod is not running inline:- idle:- nothing:! the pod has no volume of that name"},
		{"policies on what is no PersistentVolume", "", "Running", "volumeTypes: [emptyDir, nfs, hostPath, secret]=fs-backup", "data:- cache:+fs-backup scratch:- share:+fs-backup inline:- idle:! no container of the pod mounts it"},
		{"by what the type says", "", "Running", "nfs: {server: 192.0.2.1}=fs-backup", "data:- cache:- scratch:- share:+fs-backup inline:- idle:-"},
		{"on a claim's volume", "", "Running", "storageClass: [fast]=fs-backup", "data:+fs-backup cache:- scratch:+fs-backup share:- inline:- idle:-"},
		{"an ephemeral claim by its own type", "", "Running", "volumeTypes: [ephemeral]=fs-backup", "data:- cache:- scratch:+fs-backup share:- inline:- idle:-"},
		{"and by that of its volume first", "", "Running", "volumeTypes: [csi]=snapshot;volumeTypes: [ephemeral]=fs-backup", "data:-snapshot cache:- scratch:-snapshot share:- inline:-snapshot idle:-"},
		{"a policy before the annotation", in, "Running", "volumeTypes: [csi]=skip;volumeTypes: [nfs]=custom", "data:-skip cache:- scratch:-skip share:-custom inline:-skip idle:- nothing:! the pod has no volume of that name"},
		{"the first policy", "", "Running", "volumeTypes: [emptyDir]=skip;volumeTypes: [emptyDir]=fs-backup", "data:- cache:-skip scratch:- share:- inline:- idle:-skip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			phase, all, _ := strings.Cut(c.phase, " ")
			pod, err := ReadPod(fmt.Appendf(nil, busy, c.annotations, phase))
			if err != nil {
				t.Fatal(err)
			}
			files := Files{All: all != "", Claimed: func(namespace, claim string) (Volume, bool) {
				v, err := ReadVolume([]byte(fast))
				return v, err == nil && namespace == "shop" && (claim == "d" || claim == "web-scratch")
			}}
			if got := told(policies(t, c.policies).Choose(pod, files)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// policies are those of "conditions=action;…".
func policies(t *testing.T, text string) Policies {
	if text == "" {
		return Policies{}
	}
	all := "version: v1\nvolumePolicies:\n"
	for one := range strings.SplitSeq(text, ";") {
		conditions, action, _ := strings.Cut(one, "=")
		all += fmt.Sprintf("- conditions: {%s}\n  action: {type: %s}\n", conditions, action)
	}
	return parse(t, all)
}

// told: "volume:+" is read, "volume:-" is not, "volume:! why" cannot be; the action of a policy follows.
func told(choices []Choice) string {
	var out []string
	for _, c := range choices {
		switch {
		case c.Problem != "":
			out = append(out, c.Volume+":! "+c.Problem)
		case c.Files:
			out = append(out, c.Volume+":+"+string(c.Action))
		default:
			out = append(out, c.Volume+":-"+string(c.Action))
		}
	}
	return strings.Join(out, " ")
}

// TestChooseUnreadable: files that are asked for and cannot be had.
func TestChooseUnreadable(t *testing.T) {
	pod, err := ReadPod([]byte(`{"metadata":{"annotations":{"backup.velero.io/backup-volumes":"a"}},"spec":{"volumes":[{"name":"a","persistentVolumeClaim":{"claimName":"d"}}],
		"containers":[{"volumeDevices":[{"name":"a"}]}]},"status":{"phase":"Running"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for problem, v := range map[string]Volume{
		"": {Type: "hostPath"}, // its node's agent knows whether it may
		"it is a block device (volumeMode Block), and has no files": {Type: "csi", Claim: Claim{VolumeMode: "Block"}},
	} {
		got := Policies{}.Choose(pod, Files{Claimed: func(string, string) (Volume, bool) { return v, true }})
		if len(got) != 1 || !got[0].Files || got[0].Problem != problem || got[0].Claim != "d" || got[0].Why != "annotation backup.velero.io/backup-volumes" {
			t.Errorf("%+v", got)
		}
	}
	got := Policies{}.Choose(pod, Files{All: true, Claimed: func(string, string) (Volume, bool) { return Volume{Type: "hostPath"}, true }})
	if len(got) != 1 || got[0].Problem != "it is a folder of the node (hostPath)" {
		t.Errorf("by default: %+v", got)
	}
	for _, body := range []string{`[]`, `{"spec":{"volumes":[{"name":7}]}}`} {
		if _, err := ReadPod([]byte(body)); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
