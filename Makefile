# What can be made: `make help`. Everything works from a fresh clone; only `deps` needs the network.

APP  := claudemesh
MAIN := ./cmd/$(APP)
INFO := github.com/claudemesh/claudemesh/internal/buildinfo

# The product is pure Go. Tests use cgo, because the race detector does; they need a C compiler.
PLAIN        := CGO_ENABLED=0
APT_PACKAGES := gcc libc6-dev
# What the tests on a terminal type into.
TERMINAL_PACKAGES := tmux zsh fish bash-completion

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)
TIME    := $(shell TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
LDFLAGS := -s -w -X $(INFO).version=$(VERSION) -X $(INFO).commit=$(COMMIT) -X $(INFO).commitTime=$(TIME)

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

FUZZTIME := 5s
STEP      = @echo "==> $@"

# Of `make chaos`: a seed repeats a run (0 takes a new one), ROUNDS is how often each fault happens, with TIME all of them begin
# anew until it is over, and FAULT takes those whose names it meets.
SEED   := 0
ROUNDS := 10
TIME   := 0s
FAULT  :=

# How long `make soak` lasts.
LENGTH := 30m

.PHONY: help up demo deps test lint vet race fuzz chaos soak bench docs cross build clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: build ## build, then start a local broker and the daemon
	bin/$(APP) up

demo: build ## build, then show two sessions talking
	bin/$(APP) demo

build: ## build bin/claudemesh
	$(STEP)
	$(PLAIN) go build -ldflags '$(LDFLAGS)' -o bin/$(APP) $(MAIN)

deps: ## fetch and verify what the module needs; a C compiler, tmux and shells where there are none, and the real host of some tests
	$(STEP)
	go mod download
	go mod verify
	@command -v $${CC:-cc} >/dev/null || { apt-get update && apt-get install -y --no-install-recommends $(APT_PACKAGES); }
	@{ command -v tmux && command -v zsh && command -v fish; } >/dev/null || \
		{ apt-get update && apt-get install -y --no-install-recommends $(TERMINAL_PACKAGES); } || \
		echo "*** tmux, zsh or fish is missing: tests on a terminal will be skipped ***" >&2
	@scripts/fetch-host

# The steps of `test` stand one after the other, cheapest first. `build` comes before `vet`, which reads what it compiled.
test: ## everything that must pass: deps, build, lint, tests with the race detector, fuzzing
	$(MAKE) deps
	$(MAKE) build
	$(MAKE) lint
	$(MAKE) race
	$(MAKE) fuzz
	@echo "==> all passed"

lint: vet ## gofmt, go vet; staticcheck where go.mod has it as a tool
	$(STEP)
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	@if go tool -n staticcheck >/dev/null 2>&1; then $(PLAIN) go tool staticcheck ./...; fi

vet:
	$(STEP)
	$(PLAIN) go vet ./...

race: ## every test, with the race detector
	$(STEP)
	go test -race -shuffle=on -vet=off -timeout=10m ./...

fuzz: ## every fuzz target for FUZZTIME (5s)
	$(STEP)
	@$(PLAIN) scripts/fuzz $(FUZZTIME)

chaos: ## break each part while messages are sent, and account for every message: SEED=, ROUNDS=, TIME=, FAULT=
	$(STEP)
	cd internal/e2e && $(PLAIN) go test -count=1 -timeout=0 -run '^TestChaos$$' -args -seed=$(SEED) -rounds=$(ROUNDS) -within=$(TIME) -fault='$(FAULT)'
	cd internal/rig && $(PLAIN) go test -count=1 -run '^TestHistory|^TestT[0-9]' -args -seed=$(SEED) -rounds=50
	cd internal/broker && $(PLAIN) go test -count=1 -run '^TestReconnectStorm$$' -args -sessions=5000

soak: ## use everything at once for LENGTH (30m): memory, goroutines and descriptors stay as they are
	$(STEP)
	cd internal/e2e && $(PLAIN) go test -count=1 -timeout=0 -run '^TestSoak$$' -args -soak=$(LENGTH)

bench: build ## ratios to systems you know, from one interleaved run, into docs/benchmarks.md
	$(STEP)
	cd bench && $(PLAIN) go run . -page ../docs/benchmarks.md $(ARGS)

docs: ## write the generated pages of docs/, and the plugin of Claude Code
	$(STEP)
	$(PLAIN) go run $(MAIN) docs docs
	$(PLAIN) go run $(MAIN) plugin .

cross: ## build dist/ for linux, macOS and Windows, with checksums
	$(STEP)
	@mkdir -p dist
	@set -e; for platform in $(PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/} suffix=; \
		if [ $$os = windows ]; then suffix=.exe; fi; \
		echo "$$platform"; \
		$(PLAIN) GOOS=$$os GOARCH=$$arch go build -trimpath -ldflags '$(LDFLAGS)' -o dist/$(APP)_$${os}_$$arch$$suffix $(MAIN); \
	done
	cd dist && { sha256sum $(APP)_* 2>/dev/null || shasum -a 256 $(APP)_*; } > SHA256SUMS

clean: ## remove what was built
	rm -rf bin dist
