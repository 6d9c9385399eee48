package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const shipped = "../../configs/relayd.yaml"

var comparer = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
var prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestShippedFileEqualsDefaultFieldByField(t *testing.T) {
	c, err := Load(shipped, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Default(), c, comparer, prefixes); d != "" {
		t.Errorf("configs/relayd.yaml differs from Default (-default +file):\n%s", d)
	}
}

func TestShippedFileHasEveryKeyAndAComment(t *testing.T) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(shipped), yaml.Parser()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	for _, s := range settings {
		if !k.Exists(s.key) {
			t.Errorf("%s is missing", s.key)
		}
	}
	// A comment stands above each key or above the key before it, where the two are explained together.
	together := []string{"port_max", "tls_key"}
	for i, line := range lines {
		key, _, isKey := strings.Cut(strings.TrimSpace(line), ":")
		if !isKey || strings.HasPrefix(key, "#") || slices.Contains(together, key) {
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(lines[i-1]), "#") {
			t.Errorf("line %d: %s has no comment above it", i+1, key)
		}
	}
}

// Every field must be reachable by a key: one that is not could never be set.
func TestEverySettingReachesAFieldOfItsOwn(t *testing.T) {
	var c Config
	fields := map[any]string{}
	for _, s := range settings {
		if other, twice := fields[s.field(&c)]; twice {
			t.Errorf("%s and %s set the same field", s.key, other)
		}
		fields[s.field(&c)] = s.key
	}
	if n := countFields(c); n != len(settings) {
		t.Errorf("Config has %d fields and settings %d", n, len(settings))
	}
	if len(settings) >= 40 {
		t.Errorf("%d settings: which of them needs two values?", len(settings))
	}
}

func TestFlagsWinOverEnvironmentOverFileOverDefault(t *testing.T) {
	path := write(t, "media:\n  port_min: 21000\n  port_max: 22000\ncalls:\n  lease: 20s\n  max: 7\n")
	flags := pflag.NewFlagSet("relayd", pflag.ContinueOnError)
	flags.String("config", "", "not a setting")
	Flags(flags)
	if err := flags.Parse([]string{"--config=x", "--media-port-max=23000", "--grpc-allow-plaintext", "--rtp-allow-networks=10.0.0.0/8,192.168.1.1"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, flags, []string{"ONELANE_MEDIA_PORT_MAX=1", "ONELANE_CALLS_LEASE=30s", "ONELANE_MEDIA_ADDRESSES=10.0.0.5=203.0.113.7, fd00::5", "HOME=/x"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Media.PortMin, want.Media.PortMax = 21000, 23000
	want.Calls.Lease, want.Calls.Max = 30*time.Second, 7
	want.GRPC.AllowPlaintext = true
	want.Media.Addresses = []Address{
		{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("203.0.113.7")},
		{netip.MustParseAddr("fd00::5"), netip.MustParseAddr("fd00::5")},
	}
	want.RTP.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.1/32")}
	if d := cmp.Diff(want, c, comparer, prefixes); d != "" {
		t.Error(d)
	}
}

func TestBrokenFilesAreRefusedWithKeyValueAndRemedy(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"misspelt key", "media:\n  port_mim: 1\n", "media.port_mim (FILE): there is no such key; the nearest is media.port_min"},
		{"misspelt section", "cals:\n  max: 1\n", "the nearest is calls.max"},
		{"section as value", "media: 5\n", "media (FILE): is a section"},
		{"key as section", "calls:\n  max:\n    more: 1\n", "calls.max.more (FILE): there is no such key"},
		{"blank value", "log:\n  level:\n", "log.level (FILE): has no value: give one, or remove the key"},
		{"not a number", "calls:\n  max: many\n", `calls.max (FILE): "many" is not a whole number`},
		{"duration without unit", "calls:\n  lease: 30\n", `calls.lease (FILE): "30" is not a duration: write a number with its unit`},
		{"port too large", "media:\n  port_max: 70000\n", `media.port_max (FILE): "70000" is not a port number`},
		{"bad address", "media:\n  addresses: [example.org]\n", `"example.org" is not an IP address`},
		{"bad network", "media:\n  allow_networks: [10.0.0.1/8]\n", "has bits set after its length: write 10.0.0.0/8"},
		{"list for one", "log:\n  level: [info]\n", "is not a single value"},
		{"number for list", "media:\n  addresses: 5\n", "is not a list"},
		{"key twice", "log:\n  level: info\n  level: warn\n", "already defined"},
		{"not YAML", "media: [\n", "read config file FILE"},
		{"a list", "- a\n", "read config file FILE"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.yaml)
			_, err := Load(path, nil, nil)
			if want := strings.ReplaceAll(test.want, "FILE", path); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got  %v\nwant ... %s ...", err, want)
			}
		})
	}
}

func TestEmptySectionsMeanDefaults(t *testing.T) {
	for _, content := range []string{"", "# nothing\n", "media:\ncalls: {}\n"} {
		c, err := Load(write(t, content), nil, nil)
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if d := cmp.Diff(Default(), c, comparer, prefixes); d != "" {
			t.Errorf("%q: %s", content, d)
		}
	}
}

func TestDottedKeyIsTheSameKey(t *testing.T) {
	c, err := Load(write(t, "media.port_min: 21000\n"), nil, nil)
	if err != nil || c.Media.PortMin != 21000 {
		t.Errorf("%d, %v", c.Media.PortMin, err)
	}
}

func TestMissingFileSaysWhatToDo(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "does not exist: give another with --config") {
		t.Error(err)
	}
}

func TestEveryProblemIsToldAtOnce(t *testing.T) {
	_, err := Load(write(t, "media:\n  port_mim: 1\ncalls:\n  max: many\n"), nil, []string{"ONELANE_CALLS_LEASE=soon"})
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "calls.lease (environment)") {
		t.Errorf("want three lines, got %v", err)
	}
}

func TestUnknownEnvironmentIsAWarning(t *testing.T) {
	got := UnknownEnvironment([]string{"ONELANE_MEDIA_PORT_MINI=1", "ONELANE_LOG_LEVEL=info", "PATH=/"})
	if len(got) != 1 || got[0] != "ONELANE_MEDIA_PORT_MINI sets nothing; the nearest setting is ONELANE_MEDIA_PORT_MIN" {
		t.Errorf("%q", got)
	}
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "relayd.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
