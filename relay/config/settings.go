package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// setting ties a field to its key. The names of its flag and of its environment variable follow from the key.
type setting struct {
	key   string
	doc   string
	field func(*Config) any // a pointer of one of the types that assign knows
}

func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.key) }

func (s setting) environment() string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

const environmentPrefix = "ONELANE_"

var settings = []setting{
	{"media.addresses", "addresses for media, \"local\" or \"local=public\" behind 1:1 NAT, at most one a family", func(c *Config) any { return &c.Media.Addresses }},
	{"media.port_min", "first UDP port for calls; a call takes one", func(c *Config) any { return &c.Media.PortMin }},
	{"media.port_max", "last UDP port for calls", func(c *Config) any { return &c.Media.PortMax }},
	{"media.port_rest", "how long a port rests before the next call may have it", func(c *Config) any { return &c.Media.PortRest }},
	{"media.allow_networks", "networks that remote candidates may be in besides public addresses", func(c *Config) any { return &c.Media.AllowNetworks }},
	{"media.shards", "threads for media; 0: one for two cores", func(c *Config) any { return &c.Media.Shards }},
	{"media.consent_use_candidate", "consent checks carry USE-CANDIDATE", func(c *Config) any { return &c.Media.ConsentUseCandidate }},
	{"calls.max", "most calls at a time", func(c *Config) any { return &c.Calls.Max }},
	{"calls.lease", "a call that no controller asks for ends after this, unless it asked for another lease", func(c *Config) any { return &c.Calls.Lease }},
	{"calls.max_lease", "longest lease that a controller may ask for", func(c *Config) any { return &c.Calls.MaxLease }},
	{"calls.setup_timeout", "time for ICE and DTLS together", func(c *Config) any { return &c.Calls.SetupTimeout }},
	{"calls.keep", "how long an ended call stays readable", func(c *Config) any { return &c.Calls.Keep }},
	{"grpc.listen", "address of the control API, host:port", func(c *Config) any { return &c.GRPC.Listen }},
	{"grpc.allow_plaintext", "serve the control API without TLS also off loopback", func(c *Config) any { return &c.GRPC.AllowPlaintext }},
	{"grpc.tls_cert", "PEM file of the server's certificate chain", func(c *Config) any { return &c.GRPC.TLSCert }},
	{"grpc.tls_key", "PEM file of the server's private key", func(c *Config) any { return &c.GRPC.TLSKey }},
	{"grpc.client_ca", "PEM file of the CA whose clients are let in; empty: any client", func(c *Config) any { return &c.GRPC.ClientCA }},
	{"recording.folder", "folder that recordings are written to", func(c *Config) any { return &c.Recording.Folder }},
	{"recording.flush", "how often a recording is flushed to disk", func(c *Config) any { return &c.Recording.Flush }},
	{"player.folder", "folder that played files are in", func(c *Config) any { return &c.Player.Folder }},
	{"player.max_seconds", "longest file that is played", func(c *Config) any { return &c.Player.MaxSeconds }},
	{"rtp.allow_networks", "networks that RTP legs may reach; empty: none", func(c *Config) any { return &c.RTP.AllowNetworks }},
	{"rtp.address", "local address of RTP legs; empty: that of the first media address", func(c *Config) any { return &c.RTP.Address }},
	{"log.level", "debug, info, warn or error", func(c *Config) any { return &c.Log.Level }},
	{"log.format", "text or json", func(c *Config) any { return &c.Log.Format }},
}

// kind names the type of a setting for --help.
func kind(field any) string {
	switch field.(type) {
	case *bool:
		return "bool"
	case *int, *uint16:
		return "int"
	case *time.Duration:
		return "duration"
	case *[]Address, *[]netip.Prefix:
		return "list"
	case *netip.Addr:
		return "address"
	}
	return "string"
}

// assign sets a field from what YAML gave, or from the text of a flag or variable.
func assign(field, value any) error {
	if value == nil {
		return fmt.Errorf("has no value: give one, or remove the key")
	}
	switch field := field.(type) {
	case *[]Address:
		return assignList(field, value, ParseAddress)
	case *[]netip.Prefix:
		return assignList(field, value, parseNetwork)
	}
	text, err := scalar(value)
	if err != nil {
		return err
	}
	switch field := field.(type) {
	case *string:
		*field = text
	case *bool:
		if *field, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("%q is not true or false", text)
		}
	case *int:
		if *field, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
	case *uint16:
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a port number from 1 to 65535", text)
		}
		*field = uint16(n)
	case *time.Duration:
		if *field, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("%q is not a duration: write a number with its unit, such as 30s or 5m", text)
		}
	case *netip.Addr:
		*field = netip.Addr{}
		if text == "" {
			return nil
		}
		if *field, err = netip.ParseAddr(text); err != nil {
			return fmt.Errorf("%q is not an IP address", text)
		}
	}
	return nil
}

func assignList[T any](field *[]T, value any, parse func(string) (T, error)) error {
	var texts []string
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			text, err := scalar(v)
			if err != nil {
				return err
			}
			texts = append(texts, text)
		}
	case string:
		if strings.TrimSpace(value) != "" {
			texts = strings.Split(value, ",")
		}
	default:
		return fmt.Errorf("%v is not a list", value)
	}
	result := make([]T, 0, len(texts))
	for _, text := range texts {
		item, err := parse(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		result = append(result, item)
	}
	*field = result
	return nil
}

// scalar gives the text of a value that is neither list nor section.
func scalar(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return strings.TrimSpace(value), nil
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(value), nil
	}
	return "", fmt.Errorf("%v is not a single value", value)
}

// parseNetwork reads a network, or an address as the network of itself.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network: write it as 10.0.0.0/8 or fd00::/8", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits set after its length: write %s", s, p.Masked())
	}
	return p, nil
}
