// SPDX-License-Identifier: Apache-2.0

package env

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// PodVolume is a volume whose files are saved, or come back.
type PodVolume struct {
	Namespace, Pod, Volume string
	Uploader               string
	Phase                  string
	Done, Total            int64 // bytes
	New                    int64 // of them, as far as they were read; restores have none
}

// podVolumePhases are in the order in which they are told, with the names that people see.
var podVolumePhases = []struct{ phase, name string }{
	{"Completed", "Completed"}, {"Failed", "Failed"}, {"Canceled", "Canceled"}, {"Canceling", "Canceling"}, {"InProgress", "In Progress"},
	{"Prepared", "Prepared"}, {"Accepted", "Accepted"}, {"New", "New"}, {"", "New"},
}

// PodVolumeGroup are the volumes of a phase: how many, and by pod.
type PodVolumeGroup struct {
	Phase string
	Count int
	Pods  [][2]string // "namespace/pod", "volume, volume (12.50%)"
}

// PodVolumeGroups sorts volumes by phase and pod.
func PodVolumeGroups(all []PodVolume) []PodVolumeGroup {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b PodVolume) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Volume, b.Volume))
	})
	var out []PodVolumeGroup
	for _, p := range podVolumePhases {
		g := PodVolumeGroup{Phase: p.name}
		for _, v := range all {
			if v.Phase != p.phase {
				continue
			}
			g.Count++
			text := v.Volume
			switch {
			case v.Phase == "InProgress" && v.Total > 0:
				text += fmt.Sprintf(" (%.2f%%)", float64(v.Done)/float64(v.Total)*100)
			case v.Phase == "Completed" && v.New > 0:
				text += fmt.Sprintf(" (size: %d, incremental size: %d)", v.Total, v.New)
			}
			pod := v.Namespace + "/" + v.Pod
			if last := len(g.Pods) - 1; last >= 0 && g.Pods[last][0] == pod {
				g.Pods[last][1] += ", " + text
				continue
			}
			g.Pods = append(g.Pods, [2]string{pod, text})
		}
		if g.Count > 0 {
			out = append(out, g)
		}
	}
	return out
}

// PodVolumes tells of volumes: how many of each phase, and with details which. title has a place for what copied the files: "%s Restores".
func (d *Describer) PodVolumes(indent int, title string, all []PodVolume, details bool) {
	byUploader := map[string][]PodVolume{}
	var names []string
	for _, v := range all {
		name := cmp.Or(v.Uploader, "restic")
		if byUploader[name] == nil {
			names = append(names, name)
		}
		byUploader[name] = append(byUploader[name], v)
	}
	slices.Sort(names)
	for _, name := range names {
		head := strings.Replace(title, "%s", name, 1)
		if !details {
			head += " (specify --details for more information)"
		}
		d.Text(indent, "%s:", head)
		for _, g := range PodVolumeGroups(byUploader[name]) {
			if !details {
				d.Line(indent+1, g.Phase+":", g.Count)
				continue
			}
			d.Text(indent+1, "%s:", g.Phase)
			for _, p := range g.Pods {
				d.Text(indent+2, "%s: %s", p[0], p[1])
			}
		}
	}
}
