package sdp

import (
	"errors"
	"strings"
	"testing"
)

// FuzzParse holds whatever text to: an Error with a rule, or values from which a sound answer can be written.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"offer.sdp", "offer-older.sdp", "meta-answer.sdp", "our-offer.golden", "answer.golden"} {
		f.Add(load(f, name))
	}
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func() (*Remote, error){
			func() (*Remote, error) { return ParseOffer(text, nil) },
			func() (*Remote, error) { return ParseAnswer(text, &fixed, AllowPublic(nil)) },
		} {
			r, err := parse()
			if err != nil {
				var refused *Error
				if !errors.As(err, &refused) || refused.Rule == "" || refused.Message == "" || len(refused.Message) > 1000 {
					t.Fatalf("%#v", err)
				}
				if refused.Line > strings.Count(text, "\n")+1 {
					t.Fatalf("line %d of %d", refused.Line, strings.Count(text, "\n")+1)
				}
				continue
			}
			if len(r.Candidates) == 0 || len(r.Candidates) > MaxCandidates || len(r.Fingerprint) != 95 || r.Setup == 0 {
				t.Fatalf("%v", r)
			}
			checkOurs(t, Answer(r, fixed))
		}
	})
}
