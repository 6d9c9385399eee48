package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/onelane/onelane/cmd/metasim/internal/graph"
	"github.com/onelane/onelane/ice/icetest"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	listen, media, media6, public, public6 string
	webhookURL, appSecret, recordings      string
	webhooksTwice, anywhere, json          bool
}

func serveCommand() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use: "serve", Short: "Serve Graph and media until interrupted", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.serve(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8090", "HTTP `address`; port 0 chooses one")
	f.BoolVar(&o.anywhere, "allow-remote", false, "let --listen be other than loopback: there is no authentication")
	f.StringVar(&o.media, "media", "127.0.0.1:3480", "UDP `address` of all calls")
	f.StringVar(&o.media6, "media6", "", "UDP `address` for IPv6; empty: none")
	f.StringVar(&o.public, "public", "", "`address` that the SDP names instead of --media")
	f.StringVar(&o.public6, "public6", "", "`address` that the SDP names instead of --media6")
	f.StringVar(&o.webhookURL, "webhook-url", "", "where webhooks are POSTed; empty: nowhere")
	f.StringVar(&o.appSecret, "app-secret", os.Getenv("METASIM_APP_SECRET"), "signs webhooks; METASIM_APP_SECRET in the environment does not show in ps")
	f.Lookup("app-secret").DefValue = ""
	f.BoolVar(&o.webhooksTwice, "webhooks-twice", false, "send every webhook twice, as Meta sometimes does")
	f.StringVar(&o.recordings, "recordings", "", "`folder` for what the phones hear; empty: not recorded")
	f.BoolVar(&o.json, "json", false, "tell the addresses and log in JSON")
	return c
}

func noArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usageError{err}
	}
	return nil
}

func (o *serveOptions) serve(ctx context.Context, out, log io.Writer) error {
	listener, err := o.open()
	if err != nil {
		return err
	}
	defer listener.Close()
	if o.recordings != "" {
		if err := os.MkdirAll(o.recordings, 0o750); err != nil {
			return fmt.Errorf("recordings: %w", err)
		}
	}
	server, err := o.relay()
	if err != nil {
		return err
	}
	defer server.Close()
	var handler slog.Handler = slog.NewTextHandler(log, nil)
	if o.json {
		handler = slog.NewJSONHandler(log, nil)
	}
	exchange := graph.New(graph.Options{
		Server: server, WebhookURL: o.webhookURL, AppSecret: o.appSecret, WebhooksTwice: o.webhooksTwice,
		Recordings: o.recordings, Log: slog.New(handler),
	})
	defer exchange.Close()
	o.announce(out, listener.Addr(), server)

	web := &http.Server{Handler: exchange, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		_ = web.Close()
		err = <-failed
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (o *serveOptions) open() (net.Listener, error) {
	a, err := netip.ParseAddrPort(o.listen)
	if err != nil {
		return nil, usageError{fmt.Errorf("--listen: %w", err)}
	}
	if !a.Addr().IsLoopback() && !o.anywhere {
		return nil, usageError{fmt.Errorf("--listen %s: not a loopback address; --allow-remote permits it", o.listen)}
	}
	return net.Listen("tcp", o.listen)
}

// relay opens the media sockets.
func (o *serveOptions) relay() (*icetest.Server, error) {
	var conns []net.PacketConn
	var public []netip.AddrPort
	for _, family := range []struct{ flag, network, local, public string }{
		{"--media", "udp4", o.media, o.public}, {"--media6", "udp6", o.media6, o.public6},
	} {
		if family.local == "" {
			continue
		}
		c, err := net.ListenPacket(family.network, family.local)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", family.flag, err)
		}
		var named netip.AddrPort
		if family.public != "" {
			if named, err = netip.ParseAddrPort(family.public); err != nil {
				return nil, usageError{fmt.Errorf("public address of %s: %w", family.flag, err)}
			}
		}
		conns, public = append(conns, c), append(public, named)
	}
	return icetest.NewServer(conns, icetest.Options{Public: public})
}

func (o *serveOptions) announce(out io.Writer, web net.Addr, server *icetest.Server) {
	if !o.json {
		fmt.Fprintf(out, "http://%s, media on %v\n", web, server.Addresses())
		return
	}
	_ = json.NewEncoder(out).Encode(map[string]any{"http": "http://" + web.String(), "media": server.Addresses()})
}
