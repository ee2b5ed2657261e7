// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"slices"
	"strings"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
)

// Pod is what counts of a pod when it is decided which of its volumes are saved file by file.
type Pod struct {
	Namespace, Name string
	Running         bool
	Volumes         []PodVolume

	named    []string // volumes that the annotation backup-volumes names
	excluded []string // and backup-volumes-excludes
}

// PodVolume is a volume as a pod has it.
type PodVolume struct {
	Name    string
	Claim   string // the PersistentVolumeClaim that it is; "" if it is none
	Mounted bool   // a container has it, as files or as a device
	Volume  Volume // what the pod itself says of it: its type, and what conditions ask of that type
}

// unreadable are the types of volumes whose files are never read: they are saved as objects, belong to the node, or come with an image.
var unreadable = []string{"hostPath", "secret", "configMap", "projected", "downwardAPI", "image"}

// oldToken is the name of the volume that clusters before 1.22 put into each pod.
const oldToken = "default-token"

// ReadPod takes what counts out of the JSON of a Pod. A body that is none is fail.Corrupt.
func ReadPod(body []byte) (Pod, error) {
	type mounts []struct {
		Name string `json:"name"`
	}
	type containers []struct {
		Mounts  mounts `json:"volumeMounts"`
		Devices mounts `json:"volumeDevices"`
	}
	var pod struct {
		Metadata struct {
			Name        string            `json:"name"`
			Namespace   string            `json:"namespace"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			Volumes    []map[string]json.RawMessage `json:"volumes"`
			Containers containers                   `json:"containers"`
			Init       containers                   `json:"initContainers"`
		} `json:"spec"`
		Status struct {
			Phase string `json:"phase"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &pod); err != nil {
		return Pod{}, fail.Errorf(fail.Corrupt, "decode a Pod: %w", err)
	}
	p := Pod{
		Namespace: pod.Metadata.Namespace, Name: pod.Metadata.Name, Running: pod.Status.Phase == "Running",
		named:    commas(pod.Metadata.Annotations[velerov1.AnnotationBackupVolumes]),
		excluded: commas(pod.Metadata.Annotations[velerov1.AnnotationBackupVolumesExcludes]),
	}
	mounted := map[string]bool{}
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.Init) {
		for _, m := range slices.Concat(c.Mounts, c.Devices) {
			mounted[m.Name] = true
		}
	}
	for _, source := range pod.Spec.Volumes {
		v, err := readPodVolume(p.Name, source)
		if err != nil {
			return Pod{}, fail.Errorf(fail.Corrupt, "decode the volumes of Pod %s/%s: %w", p.Namespace, p.Name, err)
		}
		v.Mounted = mounted[v.Name]
		p.Volumes = append(p.Volumes, v)
	}
	return p, nil
}

// commas reads a list with commas, as annotations have it.
func commas(list string) []string {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func readPodVolume(pod string, source map[string]json.RawMessage) (PodVolume, error) {
	var v PodVolume
	var claim struct {
		Name string `json:"claimName"`
	}
	parts := map[string]any{"name": &v.Name, "persistentVolumeClaim": &claim, "nfs": &v.Volume.NFS, "csi": &v.Volume.CSI}
	for key, to := range parts {
		if raw, ok := source[key]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return v, err
			}
		}
	}
	for key := range source {
		if slices.Contains(volumeTypes, key) || slices.Contains(unreadable, key) {
			v.Volume.Type = key
		}
	}
	v.Claim = claim.Name
	if v.Volume.Type == "ephemeral" {
		v.Claim = pod + "-" + v.Name
	}
	return v, nil
}

// Files is what decides which volumes of a pod are saved file by file, where no policy does.
type Files struct {
	// All saves every volume that a pod does not exclude; else those that it names.
	All bool
	// Claimed finds the volume of a claim, with the claim. It is false for a claim that is not in the backup.
	Claimed func(namespace, claim string) (Volume, bool)
}

// Choice is what becomes of one volume of a pod.
type Choice struct {
	Volume string // its name in the pod; one that an annotation names need not exist
	Claim  string // the PersistentVolumeClaim that it is; "" if it is none
	Files  bool   // its files are to be read
	Action Action // what a policy says; "": none does
	Why    string // what decided: a policy with its line, an annotation, the default
	// Problem says why files that are to be read cannot be; "": nothing speaks against it.
	Problem string
}

// Choose says of each volume of a pod whether its files are to be read: a policy comes first, then the pod's annotations, then the default. It says nothing of
// volumes that have no files of their own (Secrets, ConfigMaps, the node's folders that nobody names), nor of claims that are not in the backup.
func (p Policies) Choose(pod Pod, f Files) []Choice {
	var out []Choice
	for _, v := range pod.Volumes {
		named := !f.All && slices.Contains(pod.named, v.Name) // then its node may have been set up to let even its own folders be read
		if slices.Contains(unreadable, v.Volume.Type) && !(named && v.Volume.Type == "hostPath") || strings.HasPrefix(v.Name, oldToken) {
			continue
		}
		facts, known := v.Volume, true
		if v.Claim != "" && f.Claimed != nil {
			facts, known = f.Claimed(pod.Namespace, v.Claim)
		}
		if !known {
			continue
		}
		c := p.choose(pod, v, facts, f.All)
		if c.Files {
			c.Problem = pod.problem(v, facts, named)
		}
		out = append(out, c)
	}
	return append(out, pod.misnamed(f.All)...)
}

func (p Policies) choose(pod Pod, v PodVolume, facts Volume, all bool) Choice {
	c := Choice{Volume: v.Name, Claim: v.Claim}
	rule, ok := p.Decide(facts)
	if !ok && v.Volume.Type == "ephemeral" {
		facts.Type = v.Volume.Type // it is a claim, and a volume of this type, too
		rule, ok = p.Decide(facts)
	}
	switch {
	case ok:
		c.Files, c.Action, c.Why = rule.Action == FSBackup, rule.Action, "volume policy "+string(rule.Action)+" ("+rule.Where+")"
	case all && slices.Contains(pod.excluded, v.Name):
		c.Why = "annotation " + velerov1.AnnotationBackupVolumesExcludes
	case all:
		c.Files, c.Why = true, "the default for volumes of pods"
	case slices.Contains(pod.named, v.Name):
		c.Files, c.Why = true, "annotation "+velerov1.AnnotationBackupVolumes
	}
	return c
}

// problem says why the files of a volume cannot be read. Of a node's folder that somebody names, the agent of that node says it.
func (pod Pod) problem(v PodVolume, facts Volume, named bool) string {
	switch {
	case facts.Type == "hostPath" && !named:
		return "it is a folder of the node (hostPath)"
	case !pod.Running:
		return "the pod is not running"
	case !v.Mounted:
		return "no container of the pod mounts it"
	case facts.Claim.VolumeMode == "Block":
		return "it is a block device (volumeMode Block), and has no files"
	}
	return ""
}

// misnamed are the names in the annotation for which the pod has no volume.
func (pod Pod) misnamed(all bool) []Choice {
	var out []Choice
	for _, name := range pod.named {
		known := slices.ContainsFunc(pod.Volumes, func(v PodVolume) bool { return v.Name == name })
		if !all && !known {
			out = append(out, Choice{Volume: name, Files: true, Why: "annotation " + velerov1.AnnotationBackupVolumes, Problem: "the pod has no volume of that name"})
		}
	}
	return out
}
