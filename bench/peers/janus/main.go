// Command janus puts a Janus under the load that relaybench makes for a relayd with an RTP leg: SRTP by DTLS from the phone, plain RTP to
// relaybench's mirror and back by Janus's NoSIP plugin, SRTP to the phone. It starts the Janus (Debian's janus) with the configuration in
// config, speaks its HTTP API, and serves the part of relayd's control API that relaybench needs. It does not count packets.
//
// Janus refuses loopback, and its configuration names the addresses of bench/internal/hosts: it runs on their edge.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/onelane/onelane/bench/internal/child"
	"github.com/onelane/onelane/bench/internal/janus"
	"github.com/onelane/onelane/bench/internal/standin"
)

func main() {
	var p standin.Program
	p.Flags("janus", "janus")
	config := flag.String("config", filepath.Join("bench", "peers", "janus", "config"), "`folder` of its configuration")
	flag.Parse()
	if err := run(p, *config); err != nil {
		fmt.Fprintln(os.Stderr, "janus:", err)
		os.Exit(1)
	}
}

func run(p standin.Program, config string) error {
	process, err := p.Start("--configs-folder="+config, "--config="+filepath.Join(config, "janus.jcfg"), "--disable-colors")
	if err != nil {
		return err
	}
	defer process.Stop()
	b := &bridge{mirror: p.Mirror, api: &janus.API{
		URL:    "http://" + p.Address + ":8088/janus",
		Client: &http.Client{Timeout: janus.PollTime + 10*time.Second},
	}}
	if err := ready(b.api, process); err != nil {
		return err
	}
	return standin.Run(b, process.PID)
}

// ready waits until the API answers.
func ready(api *janus.API, process *child.Process) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := api.Get(ctx, "/info")
		switch {
		case err == nil:
			return nil
		case process.Ended():
			return fmt.Errorf("it ended: see its log (--log): %w", err)
		case ctx.Err() != nil:
			return err
		}
		<-ticker.C
	}
}
