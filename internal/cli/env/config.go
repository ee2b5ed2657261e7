// SPDX-License-Identifier: Apache-2.0

package env

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ConfigKeys are the settings of the command line that a user can keep.
var ConfigKeys = []string{"namespace", "features", "cacert", "colorized"}

// Config is Velero's file of settings, $HOME/.config/velero/config.json: what it says holds for the velero program and for us. Keys that
// are not ours stay in it.
type Config map[string]any

func (e *Env) configPath() (string, error) {
	home := e.Getenv("HOME")
	if home == "" {
		return "", errors.New("find the settings: HOME is not set")
	}
	return filepath.Join(home, ".config", "velero", "config.json"), nil
}

// ReadConfig reads the settings; there are none if there is no file.
func (e *Env) ReadConfig() (Config, error) {
	c := Config{}
	path, err := e.configPath()
	if err != nil {
		return c, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the settings: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("read the settings %s: %w", path, err)
	}
	return c, nil
}

// WriteConfig keeps the settings.
func (e *Env) WriteConfig(c Config) error {
	path, err := e.configPath()
	if err != nil {
		return err
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("keep the settings: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the settings: %w", err)
	}
	return nil
}

// setting is one setting, or nothing if there is none or the file cannot be read: a command that wants it says so itself.
func (e *Env) setting(key string) string {
	c, err := e.ReadConfig()
	if err != nil {
		return ""
	}
	s, _ := c[key].(string)
	return s
}

// AllVersions is Velero's feature that saves objects in all versions that are served.
const AllVersions = "EnableAPIGroupVersions"

// Feature says whether a feature is among those of the settings.
func (e *Env) Feature(name string) bool {
	return slices.Contains(strings.Split(e.setting("features"), ","), name)
}
