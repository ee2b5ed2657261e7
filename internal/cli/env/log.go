// SPDX-License-Identifier: Apache-2.0

package env

import "log/slog"

// Logger is the log of a process that runs in the cluster, for its flags --log-level and --log-format.
func (e *Env) Logger(level, format string) (*slog.Logger, error) {
	var least slog.Level
	switch level {
	case "trace", "debug":
		least = slog.LevelDebug
	case "info":
	case "warning", "warn":
		least = slog.LevelWarn
	case "error", "fatal", "panic":
		least = slog.LevelError
	default:
		return nil, Usagef("--log-level %q: known are debug, info, warning, error", level)
	}
	h := &slog.HandlerOptions{Level: least}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(e.Err, h)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(e.Err, h)), nil
	}
	return nil, Usagef("--log-format %q: known are text, json", format)
}
