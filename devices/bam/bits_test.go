package bam

import "testing"

// The bits that the code acts on must be those that the register table names.
func TestBitsMatchTable(t *testing.T) {
	for _, tt := range []struct {
		r     Reg
		field string
		mask  uint32
	}{
		{BAMCtrl, "SW_RST", ctrlSWRst}, {BAMCtrl, "EN", ctrlEN},
		{BAMRevision, "CMD_DESC_EN", revCmdDescEn}, {BAMRevision, "INACTIV_TMRS_EXST", revInactivTmr},
		{IRQSrcsEE, "BAM_IRQ", globalIRQ},
		{BAMIRQStts, "HRESP_ERR", bamIRQHresp}, {BAMIRQStts, "TIMER", bamIRQTimer},
		{CnfgBits, "CMD_ENABLE", cnfgCmdEnable},
		{TrustReg, "RST_BLOCK", trustRstBlock},
		{PTimerCtrl, "TIMER_RST", timerRst}, {PTimerCtrl, "RUN", timerRun}, {PTimerCtrl, "MODE", timerMode},
		{PCtrl, "P_EN", pctrlEN}, {PCtrl, "P_DIRECTION", pctrlDirection}, {PCtrl, "P_SYS_STRM", pctrlSysStrm},
		{PCtrl, "P_SYS_MODE", pctrlSysMode}, {PCtrl, "LOCK_GROUP", 31 << pctrlGroupLo},
		{PHalt, "P_HALT", phaltHalt}, {PHalt, "P_PROD_HALTED", phaltProdHalted}, {PHalt, "P_PIPE_EMPTY", phaltPipeEmpty},
		{PCnsmrSdbnd, "WAIT_4_ACK", sdbndWait4Ack},
		{PIRQStts, "PRCSD_DESC", IRQPrcsdDesc}, {PIRQStts, "TIMER", IRQTimer}, {PIRQStts, "WAKE", IRQWake},
		{PIRQStts, "OUT_OF_DESC", IRQOutOfDesc}, {PIRQStts, "ERR", IRQErr}, {PIRQStts, "TRNSFR_END", IRQTrnsfrEnd},
		{PIRQStts, "PIPE_RST_ERROR", IRQPipeRstError}, {PIRQStts, "HRESP_ERR", IRQHrespErr},
	} {
		found := false
		for _, f := range tt.r.Register().Fields {
			if f.Name == tt.field {
				found = true
				if f.Mask() != tt.mask {
					t.Errorf("%v.%s is %#x in the table, %#x in the code", tt.r, tt.field, f.Mask(), tt.mask)
				}
			}
		}
		if !found {
			t.Errorf("%v has no field %s", tt.r, tt.field)
		}
	}
	if PCtrl.Register().Implemented() != 0x001F0FFA {
		t.Errorf("P_CTRL implements %#x, the vendor's driver says 0x001F0FFA", PCtrl.Register().Implemented())
	}
}
