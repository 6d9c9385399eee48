package icetest

import (
	"net/netip"
	"testing"
	"time"
)

var (
	here  = Pair{0, netip.MustParseAddrPort("192.0.2.7:40000")}
	there = Pair{1, netip.MustParseAddrPort("[2001:db8::7]:40000")}
)

func plain(p Pair) Check {
	return Check{Pair: p, Controlling: true, Priority: true, Fingerprint: true, Answered: true}
}

func nominating(p Pair) Check {
	k := plain(p)
	k.UseCandidate = true
	return k
}

func TestEveryRuleFires(t *testing.T) {
	with := func(change func(*Check)) Check {
		k := plain(here)
		change(&k)
		return k
	}
	tests := []struct {
		name string
		want Rule // empty: none
		do   func(*Conduct) []Breach
	}{
		{"regular nomination, keepalives with and without USE-CANDIDATE, media", "", func(c *Conduct) []Breach {
			out := c.Check(nil, plain(there))
			for _, k := range []Check{plain(here), nominating(here), nominating(here), plain(here), plain(there)} {
				out = c.Check(out, k)
			}
			if b, broken := c.DTLS(0, here); broken {
				out = append(out, b)
			}
			if b, broken := c.Media(0, here); broken {
				out = append(out, b)
			}
			return out
		}},
		{"ICE-CONTROLLED", RuleControlling, func(c *Conduct) []Breach {
			return c.Check(nil, with(func(k *Check) { k.Controlled, k.Controlling = true, false }))
		}},
		{"no role", RuleControlling, func(c *Conduct) []Breach { return c.Check(nil, with(func(k *Check) { k.Controlling = false })) }},
		{"no priority", RuleCheckForm, func(c *Conduct) []Breach { return c.Check(nil, with(func(k *Check) { k.Priority = false })) }},
		{"no fingerprint", RuleCheckForm, func(c *Conduct) []Breach { return c.Check(nil, with(func(k *Check) { k.Fingerprint = false })) }},
		{"aggressive", RuleRegularNomination, func(c *Conduct) []Breach { return c.Check(nil, nominating(here)) }},
		{"aggressive after an unanswered check", RuleRegularNomination, func(c *Conduct) []Breach {
			c.Check(nil, with(func(k *Check) { k.Answered = false }))
			return c.Check(nil, nominating(here))
		}},
		{"aggressive on the other pair", RuleRegularNomination, func(c *Conduct) []Breach {
			c.Check(nil, plain(there))
			return c.Check(nil, nominating(here))
		}},
		{"switch", RuleOnePair, func(c *Conduct) []Breach {
			for _, k := range []Check{plain(here), plain(there), nominating(here)} {
				c.Check(nil, k)
			}
			return c.Check(nil, nominating(there))
		}},
		{"early DTLS", RuleDTLSAfterNomination, func(c *Conduct) []Breach {
			c.Check(nil, plain(here))
			b, _ := c.DTLS(time.Second, here)
			return []Breach{b}
		}},
		{"DTLS off the pair", RuleDTLSOnPair, func(c *Conduct) []Breach {
			c.Check(nil, plain(here))
			c.Check(nil, nominating(here))
			b, _ := c.DTLS(time.Second, there)
			return []Breach{b}
		}},
		{"media off the pair", RuleMediaOnPair, func(c *Conduct) []Breach {
			c.Check(nil, plain(here))
			c.Check(nil, nominating(here))
			b, _ := c.Media(time.Second, there)
			return []Breach{b}
		}},
		{"shared port", RuleOwnPort, func(c *Conduct) []Breach {
			b, _ := c.Shared(time.Second, here)
			return []Breach{b}
		}},
	}
	fired := map[Rule]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Conduct
			got := tt.do(&c)
			if tt.want == "" {
				if len(got) != 0 {
					t.Fatalf("fired %v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Rule != tt.want || got[0].Detail == "" || len(c.Breaches()) != 1 {
				t.Fatalf("fired %v, kept %v; want %v", got, c.Breaches(), tt.want)
			}
			fired[tt.want] = true
		})
	}
	for _, r := range Rules {
		if !fired[r] {
			t.Errorf("%v has no test that shows it fire", r)
		}
	}
}

func TestABreachIsToldOnce(t *testing.T) {
	var c Conduct
	k := plain(here)
	k.Controlling = false
	if n := len(c.Check(c.Check(nil, k), k)); n != 1 {
		t.Fatalf("told %d times", n)
	}
}
