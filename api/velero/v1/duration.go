// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/json"
	"time"
)

// Duration is a span of time, written as Go writes it: "1h30m". The definitions of the kinds let any text through, so one that is no duration is
// kept as it is, in Bad: an object that holds one can be read, refused by name and written back, and its neighbours in a list do not suffer.
//
// +kubebuilder:validation:Type=string
type Duration struct {
	time.Duration
	Bad string // what is written there instead of a duration; "": nothing is wrong
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if text == "" { // null, too
		*d = Duration{}
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		*d = Duration{Bad: text}
		return nil
	}
	*d = Duration{Duration: parsed}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// String is what is written: the duration, or what stands there instead.
func (d Duration) String() string {
	if d.Bad != "" {
		return d.Bad
	}
	return d.Duration.String()
}
