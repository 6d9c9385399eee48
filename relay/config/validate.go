package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// problems collects what is wrong, so that an operator mends a file in one go.
type problems []error

// add notes a problem: the key, its value, what is wrong with it and what to do.
func (p *problems) add(key string, value any, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s is %v: %s", key, value, fmt.Sprintf(format, args...)))
}

func (p *problems) within(key string, value, low, high time.Duration) {
	if value < low || value > high {
		p.add(key, value, "set it between %v and %v", low, high)
	}
}

// Validate tells every problem at once, each with key, value and remedy.
func (c Config) Validate() error {
	var p problems
	c.Media.validate(&p)
	c.Calls.validate(&p)
	c.GRPC.validate(&p)
	// Ogg wants a page a second at least (RFC 7845 section 6); more often than ten times a second is all page headers.
	p.within("recording.flush", c.Recording.Flush, 100*time.Millisecond, time.Second)
	if strings.TrimSpace(c.Recording.Folder) == "" {
		p.add("recording.folder", `""`, "name a folder that the server may write to")
	}
	if strings.TrimSpace(c.Player.Folder) == "" {
		p.add("player.folder", `""`, "name a folder with Ogg Opus files; it may be empty")
	}
	// Played files are held in memory, about 3 KB a second.
	if n := c.Player.MaxSeconds; n < 1 || n > 3600 {
		p.add("player.max_seconds", n, "set it between 1 and 3600")
	}
	if a := c.RTP.Address; a.IsValid() {
		if why := unfit(a); why != "" {
			p.add("rtp.address", a, "%s; name an address that this host has, or leave it empty", why)
		}
	}
	oneOf(&p, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(&p, "log.format", c.Log.Format, "text", "json")
	return errors.Join(p...)
}

func oneOf(p *problems, key, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	p.add(key, strconv.Quote(value), "set it to one of %s", strings.Join(allowed, ", "))
}

// Shards beyond the processors of the largest machines are a typing error.
const maxShards = 256

func (m Media) validate(p *problems) {
	if len(m.Addresses) == 0 {
		p.add("media.addresses", "empty", "name the address for media, or \"local=public\" behind 1:1 NAT")
	}
	var families [2]bool
	for _, a := range m.Addresses {
		if why := unfit(a.Local); why != "" {
			p.add("media.addresses", a, "the local address %s; name one that this host has", why)
		}
		if why := unfit(a.Public); why != "" {
			p.add("media.addresses", a, "the public address %s; name the one that peers reach", why)
		}
		if a.Local.Is4() != a.Public.Is4() {
			p.add("media.addresses", a, "local and public address are of different families; pair IPv4 with IPv4 and IPv6 with IPv6")
		}
		family := 0
		if a.Local.Is4() {
			family = 1
		}
		if families[family] {
			p.add("media.addresses", a, "it is the second of its family; name at most one IPv4 and one IPv6 address")
		}
		families[family] = true
	}
	if m.PortMin < 1024 {
		p.add("media.port_min", m.PortMin, "lower ports are reserved; set it to 1024 or more")
	}
	if m.PortMax < m.PortMin {
		p.add("media.port_max", m.PortMax, "it is below media.port_min (%d); set it to that or more", m.PortMin)
	}
	// A peer that has not heard of the end sends for up to 30 s, as long as its consent lasts; a day of rest is a typing error.
	p.within("media.port_rest", m.PortRest, 0, 24*time.Hour)
	if m.Shards < 0 || m.Shards > maxShards {
		p.add("media.shards", m.Shards, "set it between 1 and %d, or to 0 for one for two cores", maxShards)
	}
}

// unfit says why an address cannot be bound or announced.
func unfit(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "is not an IP address"
	case a.IsUnspecified():
		return "is unspecified"
	case a.IsMulticast():
		return "is multicast"
	case a.Is4In6():
		return "is IPv4 written as IPv6"
	case a.Zone() != "":
		return "has a zone"
	}
	return ""
}

// maxCalls is the port space.
const maxCalls = 65535

func (c Calls) validate(p *problems) {
	if c.Max < 1 || c.Max > maxCalls {
		p.add("calls.max", c.Max, "set it between 1 and %d", maxCalls)
	}
	p.within("calls.lease", c.Lease, 5*time.Second, 24*time.Hour)
	p.within("calls.max_lease", c.MaxLease, 5*time.Second, 24*time.Hour)
	if c.Lease > c.MaxLease {
		p.add("calls.lease", c.Lease, "it is longer than calls.max_lease (%v); raise that or shorten this", c.MaxLease)
	}
	p.within("calls.setup_timeout", c.SetupTimeout, time.Second, 5*time.Minute)
	p.within("calls.keep", c.Keep, 0, 24*time.Hour)
}

func (g GRPC) validate(p *problems) {
	host, port, err := net.SplitHostPort(g.Listen)
	if err != nil {
		p.add("grpc.listen", strconv.Quote(g.Listen), "write host:port, such as 127.0.0.1:7070 or [::1]:7070")
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		p.add("grpc.listen", strconv.Quote(g.Listen), "the port is not a number from 0 to 65535")
	}
	secure := g.TLSCert != "" || g.TLSKey != ""
	switch {
	case g.TLSCert == "" && g.TLSKey != "":
		p.add("grpc.tls_cert", `""`, "grpc.tls_key is set; name the certificate too, or neither")
	case g.TLSCert != "" && g.TLSKey == "":
		p.add("grpc.tls_key", `""`, "grpc.tls_cert is set; name the key too, or neither")
	}
	if g.ClientCA != "" && !secure {
		p.add("grpc.client_ca", strconv.Quote(g.ClientCA), "clients can be verified only over TLS; set grpc.tls_cert and grpc.tls_key as well")
	}
	if secure && g.AllowPlaintext {
		p.add("grpc.allow_plaintext", true, "grpc.tls_cert or grpc.tls_key is set; with a certificate there is no plaintext, so set this to false")
	}
	if !secure && !g.AllowPlaintext && !isLoopback(host) {
		p.add("grpc.listen", strconv.Quote(g.Listen), "other hosts could control calls in plaintext; listen on 127.0.0.1, set grpc.tls_cert and grpc.tls_key, or set grpc.allow_plaintext to true")
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
