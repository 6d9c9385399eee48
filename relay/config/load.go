package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Flags registers a flag for each setting.
func Flags(flags *pflag.FlagSet) {
	defaults := Default()
	for _, s := range settings {
		field := s.field(&defaults)
		flag := flags.VarPF(&text{kind: kind(field)}, s.flag(), "", s.doc)
		if flag.Value.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

// text is a flag that keeps what was typed: assign reads it, with the same errors as for a file.
type text struct{ value, kind string }

func (t *text) String() string     { return t.value }
func (t *text) Set(s string) error { t.value = s; return nil }
func (t *text) Type() string       { return t.kind }

// Load gives the settings of a file, an environment (os.Environ) and a parsed command line, and validates them. An empty path reads no
// file, nil flags are none. The error has every problem, each on a line of its own.
func Load(path string, flags *pflag.FlagSet, environment []string) (Config, error) {
	c := Default()
	var problems []error
	layers := []struct {
		from string
		load func(*koanf.Koanf) error
	}{
		{path, func(k *koanf.Koanf) error { return loadFile(k, path) }},
		{"environment", func(k *koanf.Koanf) error { return loadEnvironment(k, environment) }},
		{"command line", func(k *koanf.Koanf) error { return loadFlags(k, flags) }},
	}
	for _, layer := range layers {
		k := koanf.New(".")
		if err := layer.load(k); err != nil {
			return Config{}, err
		}
		problems = append(problems, unknown(layer.from, k)...)
		for _, s := range settings {
			if !k.Exists(s.key) {
				continue
			}
			if err := assign(s.field(&c), k.Get(s.key)); err != nil {
				problems = append(problems, fmt.Errorf("%s (%s): %w", s.key, layer.from, err))
			}
		}
	}
	// A value that could not be read would be judged by its default, so the rules come only after every value is read.
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func loadFile(k *koanf.Koanf, path string) error {
	if path == "" {
		return nil
	}
	err := k.Load(file.Provider(path), yaml.Parser())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("config file %s does not exist: give another with --config, or none to run on defaults", path)
	case err != nil:
		return fmt.Errorf("read config file %s: %w", path, err)
	}
	return nil
}

func loadEnvironment(k *koanf.Koanf, environment []string) error {
	return k.Load(env.Provider(".", env.Opt{
		Prefix:      environmentPrefix,
		EnvironFunc: func() []string { return environment },
		TransformFunc: func(name, value string) (string, any) {
			for _, s := range settings {
				if s.environment() == name {
					return s.key, value
				}
			}
			return "", nil
		},
	}), nil)
}

func loadFlags(k *koanf.Koanf, flags *pflag.FlagSet) error {
	if flags == nil {
		return nil
	}
	return k.Load(posflag.ProviderWithFlag(flags, ".", k, func(f *pflag.Flag) (string, any) {
		for _, s := range settings {
			if f.Changed && f.Name == s.flag() {
				return s.key, f.Value.String()
			}
		}
		return "", nil
	}), nil)
}

// unknown refuses keys that set nothing: a misspelt key would otherwise be a default that nobody asked for.
func unknown(from string, k *koanf.Koanf) []error {
	var problems []error
	for _, key := range k.Keys() {
		switch {
		case slices.ContainsFunc(settings, func(s setting) bool { return s.key == key }):
		case slices.ContainsFunc(settings, func(s setting) bool { return strings.HasPrefix(s.key, key+".") }):
			if v := k.Get(key); v == nil || isEmptySection(v) {
				continue
			}
			problems = append(problems, fmt.Errorf("%s (%s): is a section: put its keys below it, indented", key, from))
		default:
			problems = append(problems, fmt.Errorf("%s (%s): there is no such key; the nearest is %s", key, from, nearest(key)))
		}
	}
	return problems
}

func isEmptySection(v any) bool {
	section, ok := v.(map[string]any)
	return ok && len(section) == 0
}

// UnknownEnvironment lists variables that look like settings and are none. They are a warning and not an error: an orchestrator sets
// variables with this prefix when it runs a service of this name.
func UnknownEnvironment(environment []string) []string {
	var warnings []string
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, environmentPrefix) || slices.ContainsFunc(settings, func(s setting) bool { return s.environment() == name }) {
			continue
		}
		key := nearest(strings.ToLower(strings.TrimPrefix(name, environmentPrefix)))
		warnings = append(warnings, fmt.Sprintf("%s sets nothing; the nearest setting is %s%s", name, environmentPrefix, strings.ToUpper(strings.ReplaceAll(key, ".", "_"))))
	}
	return warnings
}

// nearest gives the key with the smallest edit distance.
func nearest(key string) string {
	best, distance := "", 1<<30
	for _, s := range settings {
		if d := edits(key, s.key); d < distance {
			best, distance = s.key, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
