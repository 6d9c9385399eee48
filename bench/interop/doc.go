// Package interop holds the edge against programs that others wrote: Janus as the ICE-lite far end, tshark as the judge of what is on
// the wire, opusinfo, opusdec and ffprobe as the judges of recordings.
//
// Two network namespaces, joined by a veth pair, are two hosts: WebRTC servers refuse to talk over loopback. The tests have the build
// tag interop and need root and Debian's packages; make interop installs those and runs them.
//
//	edge 10.77.0.1  relayd, relayctl, tshark
//	peer 10.77.0.2  janus
package interop
