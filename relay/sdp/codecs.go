package sdp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxFmtp bounds what an answer echoes.
const maxFmtp = 512

// maxNamed is how many codecs an error names.
const maxNamed = 8

// readCodecs finds Opus and telephone-event among the formats of the m-line, in its order of preference. Everything else in it is
// ignored: an answer leaves it out.
func (r *Remote) readCodecs(d *description) *Error {
	maps, err := readRtpmaps(d)
	if err != nil {
		return err
	}
	var named []string
	opus := false
	for _, format := range d.media.MediaName.Formats {
		pt, bad := strconv.ParseUint(format, 10, 7)
		if bad != nil {
			return refuse(d.mediaLine, RulePayloadType, "%s in the m= line is not a payload type", quote(format))
		}
		name, listed := maps[uint8(pt)]
		switch {
		case !listed:
			name.value = "payload type " + format
		case !opus && strings.EqualFold(name.value, "opus/48000/2"):
			if err := usable(uint8(pt), name); err != nil {
				return err
			}
			opus, r.OpusPT = true, uint8(pt)
		case !r.DTMFListed && (strings.EqualFold(name.value, "telephone-event/8000") || strings.EqualFold(name.value, "telephone-event/8000/1")):
			if err := usable(uint8(pt), name); err != nil {
				return err
			}
			r.DTMFListed, r.DTMFPT = true, uint8(pt)
		}
		named = append(named, name.value)
	}
	if !opus {
		return refuse(d.mediaLine, RuleCodec, "opus/48000/2 is not among the codecs (%s); no other codec is supported", list(named))
	}
	if err := r.assumeDTMF(d, maps); err != nil {
		return err
	}
	return r.readFmtp(d)
}

// assumeDTMF applies Meta's rule for a description without telephone-event.
func (r *Remote) assumeDTMF(d *description, maps map[uint8]attribute) *Error {
	if r.DTMFListed {
		return nil
	}
	if taken, ok := maps[OfferDTMFPT]; ok && slices.Contains(d.media.MediaName.Formats, strconv.Itoa(OfferDTMFPT)) {
		return refuse(taken.line, RulePayloadType, "payload type %d is %s, but it is what telephone-event/8000 has when it is not listed; list it, or free the number", OfferDTMFPT, quote(taken.value))
	}
	r.DTMFPT = OfferDTMFPT
	return nil
}

// readRtpmaps gives the encoding of each payload type.
func readRtpmaps(d *description) (map[uint8]attribute, *Error) {
	maps := make(map[uint8]attribute)
	for _, a := range d.all("rtpmap") {
		number, encoding, ok := strings.Cut(a.value, " ")
		pt, bad := strconv.ParseUint(number, 10, 7)
		if bad != nil || !ok {
			return nil, refuse(a.line, RulePayloadType, "a=rtpmap is not a payload type and an encoding (RFC 8866 section 6.6)")
		}
		encoding = strings.TrimSpace(encoding)
		if first, again := maps[uint8(pt)]; again && !strings.EqualFold(first.value, encoding) {
			return nil, refuse(a.line, RulePayloadType, "payload type %d is mapped again; the first is on line %d", pt, first.line)
		}
		maps[uint8(pt)] = attribute{value: encoding, line: a.line}
	}
	return maps, nil
}

// usable refuses payload types that cannot be told from RTCP on one port (RFC 5761 section 4).
func usable(pt uint8, mapped attribute) *Error {
	if pt >= 64 && pt <= 95 {
		return refuse(mapped.line, RulePayloadType, "payload type %d of %s cannot be told from RTCP with rtcp-mux (RFC 5761 section 4); use 96 to 127", pt, quote(mapped.value))
	}
	return nil
}

func (r *Remote) readFmtp(d *description) *Error {
	for _, a := range d.all("fmtp") {
		number, parameters, _ := strings.Cut(a.value, " ")
		if number != strconv.Itoa(int(r.OpusPT)) {
			continue
		}
		parameters = strings.TrimSpace(parameters)
		if len(parameters) > maxFmtp {
			return refuse(a.line, RuleCodec, "the opus fmtp has %d bytes; at most %d are echoed", len(parameters), maxFmtp)
		}
		if r.OpusFmtp == "" {
			r.OpusFmtp = parameters
		}
	}
	return nil
}

func list(named []string) string {
	if len(named) == 0 {
		return "none"
	}
	more := ""
	if n := len(named) - maxNamed; n > 0 {
		named, more = named[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	quoted := make([]string, len(named))
	for i, name := range named {
		quoted[i] = strings.Trim(quote(name), `"`)
	}
	return strings.Join(quoted, ", ") + more
}
