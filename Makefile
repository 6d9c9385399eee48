# make demo and make test are all that most people need. Everything here installs what it needs, or says what to install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Versions that generated files and findings depend on. They are built into build/bin and touch nothing outside this folder.
BUF_VERSION                := v1.75.0
PROTOC_GEN_GO_VERSION      := v1.36.12
PROTOC_GEN_GO_GRPC_VERSION := v1.6.2
STATICCHECK_VERSION        := v0.8.2

TOOLS := $(CURDIR)/build/bin
GENERATE_TOOLS := $(TOOLS)/.buf-$(BUF_VERSION) $(TOOLS)/.protoc-gen-go-$(PROTOC_GEN_GO_VERSION) $(TOOLS)/.protoc-gen-go-grpc-$(PROTOC_GEN_GO_GRPC_VERSION)

# Packages that run at a time, each with its own threads. The tests are written for two cores.
P ?= 2

# command=package of Debian. The race detector needs a C compiler with its headers, for which /usr/include/stdio.h stands.
DEMO_DEPS    := opusenc=opus-tools opusdec=opus-tools opusinfo=opus-tools ffprobe=ffmpeg
TEST_DEPS    := $(DEMO_DEPS) gcc=gcc $(if $(wildcard /usr/include/stdio.h),,libc-headers=libc6-dev) git=git
INTEROP_DEPS := $(TEST_DEPS) janus=janus mjr2pcap=janus-tools tshark=tshark ip=iproute2 nft=nftables ffmpeg=ffmpeg espeak-ng=espeak-ng
PEER_DEPS    := rtpengine=rtpengine-daemon janus=janus ip=iproute2

.PHONY: help demo test interop build deps generate check-generated lint bench bench-ratios bench-studies bench-counts cover clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: ## two whole calls against a strict stand-in for Meta, on loopback (ARGS="--json --keep FOLDER")
	@.ci/deps $(DEMO_DEPS)
	@go run ./bench/demo $(ARGS)

test: deps ## unit, fake-time, fuzz-corpus and command-line tests, with the race detector
	go vet ./...
	CGO_ENABLED=1 go test -race -p $(P) -timeout 10m ./...

interop: ## calls against Janus between two network namespaces; needs root
	@.ci/deps $(INTEROP_DEPS)
	@[ "$$(id -u)" = 0 ] || { echo "make interop makes network namespaces: run it as root" >&2; exit 1; }
	go vet -tags interop ./bench/interop/...
	go test -tags interop -count=1 -p 1 -timeout 10m -v ./bench/interop/...

build: ## relayd, relayctl, metasim and relaybench in bin/
	@.ci/deps
	go build -trimpath -o bin/ ./cmd/...

deps: ## install what the tests need, or say what to install
	@.ci/deps $(TEST_DEPS)

generate: $(GENERATE_TOOLS) ## the code of the control API from its proto
	PATH=$(TOOLS):$$PATH buf format -w
	PATH=$(TOOLS):$$PATH buf generate

check-generated: $(GENERATE_TOOLS) ## the committed code is what the proto gives
	PATH=$(TOOLS):$$PATH buf lint
	PATH=$(TOOLS):$$PATH buf format --diff --exit-code
	@rm -rf build/generated && mkdir -p build/generated
	PATH=$(TOOLS):$$PATH buf generate -o build/generated
	@cd build/generated; files=$$(find . -name '*.pb.go' | sort); \
	for f in $$files; do diff -u ../../$$f $$f || { echo "$$f is not what its proto gives: run make generate and commit" >&2; exit 1; }; done; \
	[ "$$files" = "$$(cd ../..; find ./relay ./ice ./rtpx -name '*.pb.go' | sort)" ] || { echo "a *.pb.go file has no proto: remove it" >&2; exit 1; }

lint: $(TOOLS)/.staticcheck-$(STATICCHECK_VERSION) ## gofmt, vet, staticcheck, rules of the architecture, the systemd unit
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); [ -z "$$unformatted" ] || { echo "not gofmt'ed, run gofmt -w: $$unformatted" >&2; exit 1; }
	go vet -tags interop ./...
	$(TOOLS)/staticcheck -tags interop ./...
	go test -count=1 .
	@! command -v systemd-analyze >/dev/null || .ci/unit configs/relayd.service

bench: ## the cost of a packet by stages, in time and allocations; renews the first part of bench/RESULTS.md
	@.ci/deps
	go run ./bench/results $(ARGS)

bench-ratios: ## relayd beside the floor, the naive stack, rtpengine and Janus (as root); renews the second part of bench/RESULTS.md; under ten minutes
	@.ci/deps $(PEER_DEPS)
	go run ./bench/ratios $(ARGS)

bench-studies: ## options of sockets, receive buffers, ticks, shards and pinning compared; renews the third part of bench/RESULTS.md; under eight minutes
	@.ci/deps ip=iproute2 ethtool=ethtool
	go run ./bench/studies $(ARGS)

bench-counts: ## instructions and cache misses of a packet, which repeat where times do not; renews the fourth part of bench/RESULTS.md; under five minutes
	@.ci/deps valgrind=valgrind
	go run ./bench/counts $(ARGS)

cover: deps ## test coverage by function, and build/cover.html
	@mkdir -p build
	go test -p $(P) -timeout 10m -coverpkg=./ice/...,./relay/...,./rtpx/... -coverprofile=build/cover.out ./...
	@go tool cover -html=build/cover.out -o build/cover.html
	@go tool cover -func=build/cover.out | tail -n 1

clean: ## remove what was built
	rm -rf bin build

# One stamp a version: another version is another file, so it is installed anew.
define tool
$(TOOLS)/.$(1)-$(3):
	@.ci/deps
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install $(2)@$(3)
	@rm -f $(TOOLS)/.$(1)-v*
	@touch $$@
endef
$(eval $(call tool,buf,github.com/bufbuild/buf/cmd/buf,$(BUF_VERSION)))
$(eval $(call tool,protoc-gen-go,google.golang.org/protobuf/cmd/protoc-gen-go,$(PROTOC_GEN_GO_VERSION)))
$(eval $(call tool,protoc-gen-go-grpc,google.golang.org/grpc/cmd/protoc-gen-go-grpc,$(PROTOC_GEN_GO_GRPC_VERSION)))
$(eval $(call tool,staticcheck,honnef.co/go/tools/cmd/staticcheck,$(STATICCHECK_VERSION)))
