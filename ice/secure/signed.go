package secure

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
)

// exchangeSigned checks a ServerKeyExchange (RFC 8422 section 5.4). All three messages are sane.
func exchangeSigned(clientRandom, hello, certificate, exchange []byte) bool {
	body := exchange[messageHeader:]
	params := 4 + int(body[3])
	said := bytes.Join([][]byte{clientRandom, hello[messageHeader+2 : messageHeader+34], body[:params]}, nil)
	return signed(said, certificate, body[params:])
}

// verifySigned checks a CertificateVerify (RFC 5246 section 7.4.8).
func verifySigned(said, certificate, verify []byte) bool {
	return signed(said, certificate, verify[messageHeader:])
}

// signed checks a digitally-signed struct: algorithm, length, signature.
func signed(said, certificate, s []byte) bool {
	algorithm, ok := signatureAlgorithms[binary.BigEndian.Uint16(s)]
	if !ok {
		return false
	}
	leaf, err := x509.ParseCertificate(leafDER(certificate))
	if err != nil {
		return false
	}
	return leaf.CheckSignature(algorithm, said, s[4:]) == nil
}

// signatureAlgorithms that pion offers and takes, without SHA-1.
var signatureAlgorithms = map[uint16]x509.SignatureAlgorithm{
	0x0403: x509.ECDSAWithSHA256,
	0x0503: x509.ECDSAWithSHA384,
	0x0603: x509.ECDSAWithSHA512,
	0x0401: x509.SHA256WithRSA,
	0x0501: x509.SHA384WithRSA,
	0x0601: x509.SHA512WithRSA,
	0x0807: x509.PureEd25519,
}

func leafFingerprint(certificate []byte) string { return fingerprintOf(leafDER(certificate)) }

// leafDER is the first certificate of a sane Certificate message.
func leafDER(certificate []byte) []byte {
	b := certificate[messageHeader+3:]
	return b[3 : 3+uint24(b)]
}
