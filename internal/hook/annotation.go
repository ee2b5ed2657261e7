// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/report"
)

// AnnotationMark is part of the key of every annotation that defines a hook of a backup, RestoreMark of every one of a restore.
const (
	AnnotationMark = "hook.backup.velero.io/"
	RestoreMark    = "hook.restore.velero.io/"
)

// annotated reads a pod's annotations. It keeps the first thing that is wrong.
type annotated struct {
	of      map[string]string
	problem string
}

func (a *annotated) wrong(key, value, expected string) {
	if a.problem == "" {
		a.problem = fmt.Sprintf("annotation %s: %q: expected %s", key, value, expected)
	}
}

// command is the command at key; a JSON list if it begins like one, else one program without arguments.
func (a *annotated) command(key string) []string {
	text := a.of[key]
	if !strings.HasPrefix(text, "[") {
		return []string{text}
	}
	var command []string
	if err := json.Unmarshal([]byte(text), &command); err != nil || len(command) == 0 {
		a.wrong(key, text, `a JSON list of texts, such as ["/bin/sync", "-f", "/data"]`)
	}
	return command
}

func (a *annotated) duration(key string) time.Duration {
	text := a.of[key]
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		a.wrong(key, text, "a duration, such as 30s or 2m")
	}
	return d
}

func (a *annotated) flag(key string) bool {
	text := a.of[key]
	if text == "" {
		return false
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		a.wrong(key, text, "true or false")
	}
	return b
}

func (a *annotated) onError(key string, otherwise velerov1.HookErrorMode) velerov1.HookErrorMode {
	switch mode := velerov1.HookErrorMode(a.of[key]); mode {
	case "":
		return otherwise
	case velerov1.HookErrorModeFail, velerov1.HookErrorModeContinue:
		return mode
	default:
		a.wrong(key, string(mode), "Fail or Continue")
		return otherwise
	}
}

// backupAnnotation is the hook that a pod's annotations define for a stage. Without a prefix they are about the pre hook.
func backupAnnotation(stage report.HookStage, p Pod) (Hook, bool) {
	prefix := string(stage) + "."
	if stage == report.Pre && p.Annotations[prefix+velerov1.HookBackupCommand] == "" {
		prefix = ""
	}
	a := annotated{of: p.Annotations}
	if a.of[prefix+velerov1.HookBackupCommand] == "" {
		return Hook{}, false
	}
	h := Hook{
		Stage: stage, From: FromAnnotation, Container: a.of[prefix+velerov1.HookBackupContainer],
		Command: a.command(prefix + velerov1.HookBackupCommand),
		OnError: a.onError(prefix+velerov1.HookBackupOnError, velerov1.HookErrorModeFail),
		Timeout: a.duration(prefix + velerov1.HookBackupTimeout),
	}
	h.Problem = a.problem
	return h, true
}

// restoreAnnotation is the hook that a pod's annotations define for after its restore.
func restoreAnnotation(p Pod) (Hook, bool) {
	a := annotated{of: p.Annotations}
	if a.of[velerov1.HookRestoreCommand] == "" {
		return Hook{}, false
	}
	h := Hook{
		Stage: report.Exec, From: FromAnnotation, Container: a.of[velerov1.HookRestoreContainer],
		Command: a.command(velerov1.HookRestoreCommand),
		OnError: a.onError(velerov1.HookRestoreOnError, velerov1.HookErrorModeContinue),
		Timeout: a.duration(velerov1.HookRestoreExecTimeout),
		Wait:    a.duration(velerov1.HookRestoreWaitTimeout),
		Ready:   a.flag(velerov1.HookRestoreWaitForReady),
	}
	h.Problem = a.problem
	return h, true
}
