package standin

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Offer is what a relay needs of a phone's offer.
type Offer struct {
	Ufrag, Pwd  string
	Fingerprint string // SHA-256, upper-case hex
	Candidate   netip.AddrPort
	SSRC        uint32
}

// ReadOffer reads an offer of relaybench's phones.
func ReadOffer(text string) (Offer, error) {
	var o Offer
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		switch name {
		case "a=ice-ufrag":
			o.Ufrag = words[0]
		case "a=ice-pwd":
			o.Pwd = words[0]
		case "a=fingerprint":
			o.Fingerprint = words[len(words)-1]
		case "a=ssrc":
			ssrc, _ := strconv.ParseUint(words[0], 10, 32)
			o.SSRC = uint32(ssrc)
		case "a=candidate":
			if len(words) > 5 && !o.Candidate.IsValid() {
				o.Candidate, _ = netip.ParseAddrPort(words[4] + ":" + words[5])
			}
		}
	}
	if o.Ufrag == "" || o.Pwd == "" || o.Fingerprint == "" || !o.Candidate.IsValid() {
		return o, errors.New("the offer has no credentials, fingerprint or candidate")
	}
	return o, nil
}
