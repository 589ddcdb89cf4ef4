package qce_test

import (
	"github.com/qcemu/qcemu/devices/bam"
	"github.com/qcemu/qcemu/devices/qce"
)

var _ bam.Peripheral = (*qce.Engine)(nil)
