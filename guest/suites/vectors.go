package suites

import (
	"encoding/hex"
	"strings"
)

// Known answers from the standards. Each is checked against Go's library by the
// package's tests, so that a slip of the pen is not blamed on an engine.

// cipherVector is one known answer of a symmetric cipher.
type cipherVector struct {
	Name          string // generic name of the algorithm
	Source        string
	Key, IV       string // hex
	Plain, Cipher string // hex
}

// The message of SP 800-38A, four blocks.
const sp80038aPlain = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51" +
	"30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"

const (
	sp80038aKey128 = "2b7e151628aed2a6abf7158809cf4f3c"
	sp80038aKey192 = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
	sp80038aKey256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
	sp80038aIV     = "000102030405060708090a0b0c0d0e0f"
	sp80038aCtr    = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
)

// The message of FIPS 81, "Now is the time for all ".
const fips81Plain = "4e6f77206973207468652074696d6520666f7220616c6c20"

var cipherVectors = []cipherVector{
	{"ecb(aes)", "SP 800-38A F.1.1", sp80038aKey128, "", sp80038aPlain,
		"3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf" +
			"43b1cd7f598ece23881b00e3ed030688 7b0c785e27e8ad3f8223207104725dd4"},
	{"ecb(aes)", "SP 800-38A F.1.3", sp80038aKey192, "", sp80038aPlain,
		"bd334f1d6e45f25ff712a214571fa5cc 974104846d0ad3ad7734ecb3ecee4eef" +
			"ef7afd2270e2e60adce0ba2face6444e 9a4b41ba738d6c72fb16691603c18e0e"},
	{"ecb(aes)", "SP 800-38A F.1.5", sp80038aKey256, "", sp80038aPlain,
		"f3eed1bdb5d2a03c064b5a7e3db181f8 591ccb10d410ed26dc5ba74a31362870" +
			"b6ed21b99ca6f4f9f153e7b1beafed1d 23304b7a39f9f3ff067d8d8f9e24ecc7"},
	{"cbc(aes)", "SP 800-38A F.2.1", sp80038aKey128, sp80038aIV, sp80038aPlain,
		"7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2" +
			"73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7"},
	{"cbc(aes)", "SP 800-38A F.2.3", sp80038aKey192, sp80038aIV, sp80038aPlain,
		"4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a" +
			"571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd"},
	{"cbc(aes)", "SP 800-38A F.2.5", sp80038aKey256, sp80038aIV, sp80038aPlain,
		"f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d" +
			"39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b"},
	{"ctr(aes)", "SP 800-38A F.5.1", sp80038aKey128, sp80038aCtr, sp80038aPlain,
		"874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff" +
			"5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee"},
	{"ctr(aes)", "SP 800-38A F.5.3", sp80038aKey192, sp80038aCtr, sp80038aPlain,
		"1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94" +
			"1e36b26bd1ebc670d1bd1d665620abf7 4f78a7f6d29809585a97daec58c6b050"},
	{"ctr(aes)", "SP 800-38A F.5.5", sp80038aKey256, sp80038aCtr, sp80038aPlain,
		"601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5" +
			"2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6"},
	{"xts(aes)", "IEEE 1619 vector 2",
		"1111111111111111111111111111111122222222222222222222222222222222",
		"33333333330000000000000000000000", strings.Repeat("44", 32),
		"c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0"},
	{"xts(aes)", "IEEE 1619 vector 3",
		"fffefdfcfbfaf9f8f7f6f5f4f3f2f1f022222222222222222222222222222222",
		"33333333330000000000000000000000", strings.Repeat("44", 32),
		"af85336b597afc1a900b2eb21ec949d292df4c047e0b21532186a5971a227a89"},
	{"ecb(des)", "FIPS 81 table B1", "0123456789abcdef", "", fips81Plain,
		"3fa40e8a984d48156a271787ab8883f9893d51ec4b563b53"},
	{"cbc(des)", "FIPS 81 table C1", "0123456789abcdef", "1234567890abcdef", fips81Plain,
		"e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6"},
	{"ecb(des3_ede)", "SP 800-67 appendix B",
		"0123456789abcdef23456789abcdef01456789abcdef0123", "",
		"5468652071756663 6b2062726f776e20 666f78206a756d70",
		"a826fd8ce53b855f cce21c8112256fe6 68d5c05dd9b6b900"},
}

// hashVector is one known answer of a hash. The message is Text, or Data in
// hex, Repeat times.
type hashVector struct {
	Name   string
	Source string
	Key    string // hex
	Text   string
	Data   string
	Repeat int // 0: once
	Digest string
}

func (v hashVector) message() []byte {
	m := append([]byte(v.Text), unhex(v.Data)...)
	if v.Repeat > 1 {
		m = []byte(strings.Repeat(string(m), v.Repeat))
	}
	return m
}

const (
	twoBlocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
	hashFirst = "Test Using Larger Than Block-Size Key - Hash Key First"
)

var hashVectors = []hashVector{
	{Name: "sha1", Source: "FIPS 180 one block", Text: "abc", Digest: "a9993e364706816aba3e25717850c26c9cd0d89d"},
	{Name: "sha1", Source: "FIPS 180 two blocks", Text: twoBlocks, Digest: "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
	{Name: "sha1", Source: "FIPS 180 a million bytes", Text: "a", Repeat: 1000000, Digest: "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
	{Name: "sha256", Source: "FIPS 180 one block", Text: "abc",
		Digest: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{Name: "sha256", Source: "FIPS 180 two blocks", Text: twoBlocks,
		Digest: "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	{Name: "sha256", Source: "FIPS 180 a million bytes", Text: "a", Repeat: 1000000,
		Digest: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},

	{Name: "hmac(sha1)", Source: "RFC 2202 case 1", Key: strings.Repeat("0b", 20), Text: "Hi There",
		Digest: "b617318655057264e28bc0b6fb378c8ef146be00"},
	{Name: "hmac(sha1)", Source: "RFC 2202 case 2", Key: "4a656665", Text: "what do ya want for nothing?",
		Digest: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
	{Name: "hmac(sha1)", Source: "RFC 2202 case 3", Key: strings.Repeat("aa", 20), Data: strings.Repeat("dd", 50),
		Digest: "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},

	{Name: "hmac(sha256)", Source: "RFC 4231 case 1", Key: strings.Repeat("0b", 20), Text: "Hi There",
		Digest: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	{Name: "hmac(sha256)", Source: "RFC 4231 case 2", Key: "4a656665", Text: "what do ya want for nothing?",
		Digest: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	{Name: "hmac(sha256)", Source: "RFC 4231 case 3", Key: strings.Repeat("aa", 20), Data: strings.Repeat("dd", 50),
		Digest: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
	{Name: "hmac(sha256)", Source: "RFC 4231 case 4", Key: "0102030405060708090a0b0c0d0e0f10111213141516171819",
		Data:   strings.Repeat("cd", 50),
		Digest: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
	{Name: "hmac(sha256)", Source: "RFC 4231 case 6", Key: strings.Repeat("aa", 131), Text: hashFirst,
		Digest: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
}

// ccmVector is one known answer of CCM.
type ccmVector struct {
	Source                   string
	Key, Nonce, Assoc, Plain string // hex
	Sealed                   string // hex, the tag at its end
	Tag                      int
}

var ccmVectors = []ccmVector{
	{"SP 800-38C example 1", "404142434445464748494a4b4c4d4e4f", "10111213141516", "0001020304050607",
		"20212223", "7162015b4dac255d", 4},
	{"SP 800-38C example 2", "404142434445464748494a4b4c4d4e4f", "1011121314151617",
		"000102030405060708090a0b0c0d0e0f", "202122232425262728292a2b2c2d2e2f",
		"d2a1f0e051ea5f62081a7792073d593d1fc64fbfaccd", 6},
	{"SP 800-38C example 3", "404142434445464748494a4b4c4d4e4f", "101112131415161718191a1b",
		"000102030405060708090a0b0c0d0e0f10111213", "202122232425262728292a2b2c2d2e2f3031323334353637",
		"e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951", 8},
	{"RFC 3610 packet vector 1", "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf", "00000003020100a0a1a2a3a4a5",
		"0001020304050607", "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
		"588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0", 8},
}

// kernelIV is the nonce as the kernel's ccm(aes) takes it.
func (v ccmVector) kernelIV() []byte {
	nonce := unhex(v.Nonce)
	iv := make([]byte, 16)
	iv[0] = byte(14 - len(nonce))
	copy(iv[1:], nonce)
	return iv
}

// unhex decodes a constant of this file, which may have spaces.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic("known answer: " + err.Error())
	}
	return b
}
