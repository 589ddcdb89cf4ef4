package qce

// aesModes are the modes of AES, by ENCR_SEG_CFG.MODE.
var aesModes = [16]cipherKind{
	encrModeECB: aesECB, encrModeCBC: aesCBC, encrModeCTR: aesCTR, encrModeXTS: aesXTS, encrModeCCM: aesCCM, encrModeGCM: aesGCM,
}

// decode finds the algorithms of the latched configuration, or refuses it.
func (e *Engine) decode() bool {
	o, c := &e.op, &e.op.cfg
	enc, auth := encrAlg.Get(c.EncrSegCfg), authAlg.Get(c.AuthSegCfg)
	if enc == 0 && auth == 0 {
		e.noteOp(ruleNoAlg, EncrSegCfg, 0, 0)
		return e.badAlg()
	}
	if enc != 0 {
		k, ok := e.cipherOf(c.EncrSegCfg)
		if !ok {
			e.noteOp(ruleBadAlg, EncrSegCfg, 0, uint64(c.EncrSegCfg))
			return e.badAlg()
		}
		o.cipher = k
	}
	if auth != 0 {
		k, ok := e.authOf(c.AuthSegCfg)
		if !ok {
			e.noteOp(ruleBadAlg, AuthSegCfg, 0, uint64(c.AuthSegCfg))
			return e.badAlg()
		}
		o.auth = k
	}
	if (o.cipher == aesCCM) != (o.auth == ccmMAC) || (o.cipher == aesGCM) != (o.auth == gcmMAC) {
		e.noteOp(ruleBadAlg, AuthSegCfg, 0, uint64(c.AuthSegCfg))
		return e.badAlg()
	}
	return true
}

func (e *Engine) badAlg() bool {
	e.op.cipher, e.op.auth = noCipher, noAuth
	e.status2 |= InvalidAlgoCfg
	e.fail(0)
	return false
}

func (e *Engine) cipherOf(cfg uint32) (cipherKind, bool) {
	size, mode := encrSize.Get(cfg), encrMode.Get(cfg)
	has := e.cfg.Engines
	switch encrAlg.Get(cfg) {
	case encrAlgAES:
		k := aesModes[mode]
		ok := has&hasEncrAES != 0 && k != noCipher && (size == 0 || size == 2) && (k != aesGCM || e.cfg.GCM)
		return k, ok
	case encrAlgDES:
		if has&hasDES == 0 || size > 2 || mode > encrModeCBC {
			return noCipher, false
		}
		k := desECB
		if size > 0 {
			k = tdesECB
		}
		return k + cipherKind(mode), true
	}
	return noCipher, false
}

func (e *Engine) authOf(cfg uint32) (authKind, bool) {
	size, mode := authSize.Get(cfg), authMode.Get(cfg)
	has := e.cfg.Engines
	switch authAlg.Get(cfg) {
	case authAlgSHA:
		ok := size <= 3 && mode <= authModeHMAC && (size < 2 && has&hasSHA != 0 || size >= 2 && has&hasSHA512 != 0)
		k := sha1Hash + authKind(size&3)
		if mode == authModeHMAC {
			k += sha1HMAC - sha1Hash
		}
		return k, ok
	case authAlgAES:
		if ks := authKeySize.Get(cfg); has&hasAuthAES == 0 || ks != 0 && ks != 2 || size > 15 {
			return noAuth, false
		}
		switch mode {
		case authModeCCM:
			return ccmMAC, true
		case authModeCMAC:
			return aesCMAC, true
		case authModeGCM:
			return gcmMAC, e.cfg.GCM
		}
	}
	return noAuth, false
}

// keyBytes is the size of the cipher key.
func (o *operation) keyBytes() int {
	size := encrSize.Get(o.cfg.EncrSegCfg)
	switch o.cipher {
	case noCipher:
		return 0
	case desECB, desCBC:
		return 8
	case tdesECB, tdesCBC:
		return 24 - 8*int(size>>1) // 2-key: K1, K2
	}
	return 16 + 8*int(size)
}

func (o *operation) authKeyBytes() int { return 16 + 8*int(authKeySize.Get(o.cfg.AuthSegCfg)) }

// keyBits is the key size that reports name.
func (e *Engine) keyBits() int {
	o := &e.op
	if o.cipher == noCipher && o.auth == aesCMAC {
		return 8 * o.authKeyBytes()
	}
	return 8 * o.keyBytes()
}
