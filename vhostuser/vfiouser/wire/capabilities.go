package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Capabilities are what a side says of itself in VERSION. A field that is nil
// was not said.
type Capabilities struct {
	MaxMsgFDs       *uint64 `json:"max_msg_fds,omitempty"`
	MaxDataXferSize *uint64 `json:"max_data_xfer_size,omitempty"`
	MaxDMAMaps      *uint64 `json:"max_dma_maps,omitempty"`
	Pgsizes         *uint64 `json:"pgsizes,omitempty"`
	WriteMultiple   *bool   `json:"write_multiple,omitempty"`
}

type versionData struct {
	Capabilities *Capabilities `json:"capabilities,omitempty"`
}

// ParseCapabilities reads the version data that follows the version numbers: a
// NUL-terminated JSON object, or nothing. said tells which of the two it was.
// Capabilities it does not know are ignored.
func ParseCapabilities(b []byte) (c Capabilities, said bool, err error) {
	if len(b) == 0 {
		return c, false, nil
	}
	text, rest, found := bytes.Cut(b, []byte{0})
	if !found {
		return c, false, errors.New("version data is not terminated by NUL")
	}
	if len(rest) > 0 {
		return c, false, errors.New("bytes after the version data")
	}
	if len(text) == 0 {
		return c, false, nil
	}
	if t := bytes.TrimLeft(text, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return c, false, errors.New("version data is not a JSON object")
	}
	v := versionData{Capabilities: &c}
	if err := json.Unmarshal(text, &v); err != nil {
		return c, false, fmt.Errorf("version data: %w", err)
	}
	return c, true, nil
}

// AppendCapabilities appends the version data for c to b.
func AppendCapabilities(b []byte, c Capabilities) []byte {
	text, err := json.Marshal(versionData{&c})
	if err != nil {
		panic(err) // numbers and a bool cannot fail
	}
	return append(append(b, text...), 0)
}
