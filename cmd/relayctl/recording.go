package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/onelane/onelane/relay/sink/recording"
)

func (a *app) recording() *cobra.Command {
	c := group(&cobra.Command{Use: "recording", Short: "Look after recordings on this machine"})
	c.AddCommand(a.recordingRepair())
	return c
}

// repaired is what --json says of one file.
type repaired struct {
	Path       string `json:"path"`
	DurationMS int64  `json:"duration_ms"`
	Channels   int    `json:"channels"`
	Pages      int    `json:"pages"`
	CutBytes   int64  `json:"cut_bytes"`
	Already    bool   `json:"already_closed"`
	Damage     string `json:"damage,omitempty"`
}

func (a *app) recordingRepair() *cobra.Command {
	return &cobra.Command{
		Use:   "repair FILE...",
		Short: "Close recordings that a killed edge left open (.part)",
		Long: `Close recordings that a killed edge left open: every whole page is kept, the end is marked, and .part goes from the name. A recording that is
closed already is left as it is, and so is one that is being written. It works on files of this machine and asks no edge.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var failed []error
			for _, name := range args {
				r, err := recording.Repair(name)
				if err == nil {
					err = a.showRepaired(r)
				}
				failed = append(failed, err)
			}
			return errors.Join(failed...)
		},
	}
}

func (a *app) showRepaired(r recording.Report) error {
	if a.out.json {
		line, err := json.Marshal(repaired{
			Path: r.Path, DurationMS: r.Length.Milliseconds(), Channels: r.Channels, Pages: r.Pages, CutBytes: r.Cut, Already: r.Already, Damage: r.Damage,
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.out.w, string(line))
		return err
	}
	done := fmt.Sprintf("closed, %d bytes of a torn page cut off", r.Cut)
	if r.Already {
		done = "was closed already"
	}
	if r.Damage != "" {
		done += ", damaged: " + r.Damage
	}
	_, err := fmt.Fprintf(a.out.w, "%s: %s; %v, %d channels, %d pages\n", clean(r.Path), clean(done), r.Length.Round(time.Millisecond), r.Channels, r.Pages)
	return err
}
