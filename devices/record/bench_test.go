package record

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/qcemu/qcemu/devices/cryptoblock/blocktest"
	"github.com/qcemu/qcemu/devices/model"
	"github.com/qcemu/qcemu/devices/qce/qcetest"
)

// What a recording costs the model: a request of 4 KiB by command descriptors.
func BenchmarkRequest(b *testing.B) {
	c := model.Config{SoC: "sdm845", Check: &model.Check{}}
	key := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 8)
	data := make([]byte, 4096)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	req := qcetest.Cipher{Mode: qcetest.XTSAES, Key: key, IV: key[:16], Encrypt: true, Data: data}
	run := func(b *testing.B, o model.Options) *model.Model {
		o.Manual = true
		m, err := model.New(c, o)
		if err != nil {
			b.Fatal(err)
		}
		linux := blocktest.New(m.Block, m.Profile)
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			linux.Series(req)
		}
		return m
	}
	b.Run("plain", func(b *testing.B) { run(b, model.Options{}) })
	b.Run("recorded", func(b *testing.B) {
		r, err := Create(filepath.Join(b.TempDir(), "f.qrec"), NewHeader(c, ""), func(err error) { b.Error(err) })
		if err != nil {
			b.Fatal(err)
		}
		m := run(b, model.Options{Tap: r})
		if err := r.Close(m); err != nil {
			b.Fatal(err)
		}
	})
}
