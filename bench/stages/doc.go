// Package stages measures each step of a packet's way alone, warm and cold: with one call, whose state stays in the core's nearest cache, and
// with 1,000 and 5,000 calls touched in turn, so that every packet meets a state that was last touched 20 ms ago, as in life.
//
// It has benchmarks only. Steps that are not exported are measured beside their package: finding the call of a port, placing on the lane,
// the egress check, reports and the Core whole in relay/shard.
package stages
