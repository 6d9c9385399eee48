package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func countFields(c Config) int {
	n := 0
	for _, section := range reflect.ValueOf(c).Fields() {
		n += section.NumField()
	}
	return n
}

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidationNamesKeyValueAndRemedy(t *testing.T) {
	address := func(local, public string) Address {
		return Address{netip.MustParseAddr(local), netip.MustParseAddr(public)}
	}
	tests := []struct {
		name string
		set  func(*Config)
		want string // empty: valid
	}{
		{"no address", func(c *Config) { c.Media.Addresses = nil }, "media.addresses is empty: name the address"},
		{"unspecified", func(c *Config) { c.Media.Addresses = []Address{address("0.0.0.0", "192.0.2.1")} }, "media.addresses is 0.0.0.0=192.0.2.1: the local address is unspecified"},
		{"multicast", func(c *Config) { c.Media.Addresses = []Address{address("192.0.2.1", "224.0.0.1")} }, "the public address is multicast"},
		{"mapped", func(c *Config) { c.Media.Addresses = []Address{address("::ffff:192.0.2.1", "192.0.2.1")} }, "is IPv4 written as IPv6"},
		{"zone", func(c *Config) { c.Media.Addresses = []Address{address("fe80::1%eth0", "2001:db8::1")} }, "has a zone"},
		{"mixed families", func(c *Config) { c.Media.Addresses = []Address{address("10.0.0.5", "2001:db8::1")} }, "different families"},
		{"two of a family", func(c *Config) {
			c.Media.Addresses = []Address{address("10.0.0.5", "10.0.0.5"), address("10.0.0.6", "10.0.0.6")}
		}, "media.addresses is 10.0.0.6: it is the second of its family"},
		{"both families", func(c *Config) {
			c.Media.Addresses = []Address{address("10.0.0.5", "192.0.2.1"), address("fd00::5", "2001:db8::1")}
		}, ""},
		{"low port", func(c *Config) { c.Media.PortMin = 80 }, "media.port_min is 80: lower ports are reserved; set it to 1024 or more"},
		{"ports swapped", func(c *Config) { c.Media.PortMax = 19999 }, "media.port_max is 19999: it is below media.port_min (20000)"},
		{"one port", func(c *Config) { c.Media.PortMax = 20000 }, ""},
		{"negative rest", func(c *Config) { c.Media.PortRest = -1 }, "media.port_rest is -1ns: set it between 0s and 24h0m0s"},
		{"shards", func(c *Config) { c.Media.Shards = -1 }, "media.shards is -1"},
		{"no calls", func(c *Config) { c.Calls.Max = 0 }, "calls.max is 0: set it between 1 and 65535"},
		{"short lease", func(c *Config) { c.Calls.Lease = time.Second }, "calls.lease is 1s: set it between 5s and 24h0m0s"},
		{"lease over maximum", func(c *Config) { c.Calls.Lease = time.Hour }, "it is longer than calls.max_lease (10m0s)"},
		{"no set-up time", func(c *Config) { c.Calls.SetupTimeout = 0 }, "calls.setup_timeout is 0s"},
		{"keep", func(c *Config) { c.Calls.Keep = -time.Second }, "calls.keep is -1s"},
		{"listen", func(c *Config) { c.GRPC.Listen = "7070" }, `grpc.listen is "7070": write host:port`},
		{"listen port", func(c *Config) { c.GRPC.Listen = "127.0.0.1:http" }, "the port is not a number"},
		{"plaintext off loopback", func(c *Config) { c.GRPC.Listen = "0.0.0.0:7070" }, "other hosts could control calls in plaintext"},
		{"plaintext on every address", func(c *Config) { c.GRPC.Listen = ":7070" }, "other hosts could control calls in plaintext"},
		{"plaintext allowed", func(c *Config) { c.GRPC.Listen, c.GRPC.AllowPlaintext = ":7070", true }, ""},
		{"plaintext on ::1", func(c *Config) { c.GRPC.Listen = "[::1]:0" }, ""},
		{"plaintext on localhost", func(c *Config) { c.GRPC.Listen = "localhost:0" }, ""},
		{"TLS off loopback", func(c *Config) { c.GRPC.Listen, c.GRPC.TLSCert, c.GRPC.TLSKey = ":7070", "c", "k" }, ""},
		{"mTLS", func(c *Config) { c.GRPC.TLSCert, c.GRPC.TLSKey, c.GRPC.ClientCA = "c", "k", "ca" }, ""},
		{"certificate alone", func(c *Config) { c.GRPC.TLSCert = "c" }, "grpc.tls_key is \"\": grpc.tls_cert is set"},
		{"key alone", func(c *Config) { c.GRPC.TLSKey = "k" }, "grpc.tls_cert is \"\": grpc.tls_key is set"},
		{"CA alone", func(c *Config) { c.GRPC.ClientCA = "ca" }, "grpc.client_ca is \"ca\": clients can be verified only over TLS"},
		{"TLS and plaintext", func(c *Config) { c.GRPC.TLSCert, c.GRPC.TLSKey, c.GRPC.AllowPlaintext = "c", "k", true }, "grpc.allow_plaintext is true: grpc.tls_cert or grpc.tls_key is set"},
		{"no recording folder", func(c *Config) { c.Recording.Folder = " " }, "recording.folder is"},
		{"flush", func(c *Config) { c.Recording.Flush = time.Millisecond }, "recording.flush is 1ms: set it between 100ms and 1s"},
		{"no player folder", func(c *Config) { c.Player.Folder = "" }, "player.folder is"},
		{"long file", func(c *Config) { c.Player.MaxSeconds = 3601 }, "player.max_seconds is 3601"},
		{"RTP address", func(c *Config) { c.RTP.Address = netip.IPv4Unspecified() }, "rtp.address is 0.0.0.0: is unspecified"},
		{"level", func(c *Config) { c.Log.Level = "loud" }, `log.level is "loud": set it to one of debug, info, warn, error`},
		{"format", func(c *Config) { c.Log.Format = "xml" }, `log.format is "xml": set it to one of text, json`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Default()
			test.set(&c)
			err := c.Validate()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("valid, but: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got  %v\nwant ... %s ...", err, test.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name      string
		set       func(*Config)
		ephemeral string
		want      string
	}{
		{"apart", func(*Config) {}, "32768\t60999\n", ""},
		{"overlap", func(*Config) {}, "25000 60999", "(20000-29999) overlaps the kernel's ephemeral ports (25000-60999)"},
		{"inside", func(*Config) {}, "1024 65535", "overlaps"},
		{"one shared port", func(*Config) {}, "29999 60999", "overlaps"},
		{"unreadable", func(*Config) {}, "", ""},
		{"nonsense", func(*Config) {}, "a b", ""},
		{"too few ports", func(c *Config) { c.Media.PortMax = 20009 }, "", "has 10 ports for calls.max 1000: a call takes one, so 10 calls fit"},
		{"plaintext", func(c *Config) { c.GRPC.AllowPlaintext = true }, "", "who can reach 127.0.0.1:7070 controls every call"},
		{"loopback", func(c *Config) { c.Media.Addresses = Default().Media.Addresses }, "", "media.addresses has only loopback addresses"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Default()
			public := netip.MustParseAddr("192.0.2.1")
			c.Media.Addresses = []Address{{public, public}}
			test.set(&c)
			got := strings.Join(c.Warnings(test.ephemeral), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAddressText(t *testing.T) {
	for _, s := range []string{"10.0.0.5=203.0.113.7", "2001:db8::1", "fd00::5=2001:db8::1"} {
		a, err := ParseAddress(s)
		if err != nil || a.String() != s {
			t.Errorf("%s: %v, %v", s, a, err)
		}
	}
	for _, s := range []string{"", "=", "10.0.0.5=", "=10.0.0.5", "010.0.0.1", "2130706433", "a=b=c"} {
		if a, err := ParseAddress(s); err == nil {
			t.Errorf("%q is accepted as %v", s, a)
		}
	}
}
