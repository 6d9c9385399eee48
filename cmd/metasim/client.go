package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/onelane/onelane/cmd/metasim/internal/graph"
	"github.com/onelane/onelane/cmd/metasim/internal/phone"
)

// client talks to a metasim that serves.
type client struct {
	url  string
	json bool
	out  io.Writer
}

func (c *client) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.url, "url", "http://127.0.0.1:8090", "where metasim serves")
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON")
}

// do sends a request; into may be nil.
func (c *client) do(ctx context.Context, method, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(text)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// poll is how often a call that is waited for is looked at.
const poll = 200 * time.Millisecond

func callCommand() *cobra.Command {
	var c client
	var s phone.Scenario
	var digits []string
	var duration time.Duration
	var wait bool
	cmd := &cobra.Command{
		Use: "call", Short: "Let a phone dial the business", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.out = cmd.OutOrStdout()
			s.DurationMS = int(duration.Milliseconds())
			for _, d := range digits {
				digit, at, _ := strings.Cut(d, "@")
				n, err := strconv.Atoi(at)
				if err != nil {
					return usageError{fmt.Errorf("--digit %q: want a digit, @ and milliseconds", d)}
				}
				s.Digits = append(s.Digits, phone.Press{Digit: digit, AtMS: n})
			}
			return c.call(cmd.Context(), s, wait)
		},
	}
	c.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&s.Speech, "speech", "", "Ogg Opus `file` of 20 ms packets to speak")
	f.StringVar(&s.From, "from", "", "the user's number")
	f.StringVar(&s.To, "to", "", "the business's phone number id")
	f.Float64Var(&s.Loss, "loss", 0, "share of the phone's packets that are lost")
	f.IntVar(&s.JitterMS, "jitter", 0, "jitter in milliseconds")
	f.BoolVar(&s.DTX, "dtx", false, "do not send silence")
	f.StringArrayVar(&digits, "digit", nil, "a digit and when it is pressed, as `5@2000`; repeatable")
	f.DurationVar(&duration, "duration", 0, "hang up after; 0: never")
	f.BoolVar(&wait, "wait", true, "wait for the end and say what the phone made of it")
	return cmd
}

func (c *client) call(ctx context.Context, s phone.Scenario, wait bool) error {
	var placed struct {
		ID string `json:"id"`
	}
	if err := c.do(ctx, http.MethodPost, "/sim/call", s, &placed); err != nil {
		return err
	}
	if !wait {
		fmt.Fprintln(c.out, placed.ID)
		return nil
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		var v graph.Verdict
		if err := c.do(ctx, http.MethodGet, "/sim/calls/"+placed.ID, nil, &v); err != nil {
			return err
		}
		if v.State == "ended" {
			return c.print(v)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func oneID(c *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(c, args); err != nil {
		return usageError{err}
	}
	return nil
}

func showCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use: "show ID", Short: "Say what the phone made of a call", Args: oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.out = cmd.OutOrStdout()
			var v graph.Verdict
			if err := c.do(cmd.Context(), http.MethodGet, "/sim/calls/"+args[0], nil, &v); err != nil {
				return err
			}
			return c.print(v)
		},
	}
	c.flags(cmd)
	return cmd
}

func hangupCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use: "hangup ID", Short: "Let the user hang up", Args: oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd.Context(), http.MethodPost, "/sim/calls/"+args[0]+"/hangup", nil, nil)
		},
	}
	c.flags(cmd)
	return cmd
}

func (c *client) print(v graph.Verdict) error {
	if c.json {
		if err := json.NewEncoder(c.out).Encode(v); err != nil {
			return err
		}
	} else {
		c.table(v)
	}
	if v.Violations > 0 {
		return errBroken
	}
	return nil
}

func (c *client) table(v graph.Verdict) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "state\t%s\n", v.State)
	if v.Ending != nil {
		fmt.Fprintf(w, "ended\t%s %s\n", v.Ending.Reason, v.Ending.Detail)
	}
	fmt.Fprintf(w, "heard\t%d packets, %.1f s, digits %q\n", v.Packets.Heard, v.RecordingMS/1000, v.DigitsHeard)
	fmt.Fprintf(w, "sent\t%d packets, %d digits\n", v.Packets.Sent, v.DigitsSent)
	if v.Recording != "" {
		fmt.Fprintf(w, "recording\t%s\n", v.Recording)
	}
	for _, r := range v.Rules {
		if r.Pass {
			fmt.Fprintf(w, "ok\t%s\n", r.Doc)
		} else {
			fmt.Fprintf(w, "BROKEN\t%s: %s (at %.0f ms, %d times)\n", r.Doc, r.Reason, r.AtMS, r.Count)
		}
	}
}
