// Package controlpb is the control API, onelane.relay.v1, generated from onelane/relay/v1/relay.proto below this folder. The proto
// file is the reference: every message and field is documented there.
package controlpb

//go:generate buf generate --template ../../../buf.gen.yaml --output ../../.. ../../..
