# Everything builds without cgo: the binary runs on any host of its system and architecture.
export CGO_ENABLED = 0

GO      ?= go
LDFLAGS  = -s -w -X main.release=$(VERSION)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)

FUZZTIME ?= 1m

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
TOOL        = $(GO) tool -modfile=internal/lint/tools.mod

# gosec's rules, but for those that ask the wrong question here: errors that are dropped (G104: done
# on purpose where it is done), paths and commands that are variables (G304: reading files that
# people name is the work itself), conversions of integers (G115: too many false alarms). Labs,
# tests' servers and benches handle nothing that is worth a thief's while.
GOSEC = -exclude=G104,G304,G115 -exclude-dir=internal/lab -exclude-dir=internal/sshtest -exclude-dir=internal/chaos -exclude-dir=bench -exclude-dir=internal/release

# What is released, as GOOS-GOARCH. The oldest processors of each architecture will do.
PLATFORMS = linux-amd64 linux-arm64 linux-arm freebsd-amd64 darwin-arm64
RELEASED  = $(PLATFORMS:%=dist/spore-%)
export GOAMD64 = v1
export GOARM = 6

.PHONY: all build demo test race lint bench storm chaos fuzz docs release $(RELEASED) clean

all: build

build: ## the binary, in bin/
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/spore ./cmd/spore

demo: build ## the main job, on two real hosts as root on Linux, else on two inside the process
	@if [ "$$(id -u)" = 0 ] && [ "$$(uname -s)" = Linux ]; then bin/spore demo --lab; else bin/spore demo; fi

# The time-out is there for what hangs: on a quiet machine the longest package takes 5 minutes.
test: ## every test; as root on Linux those on real hosts as well
	$(GO) vet ./...
	$(GO) test -timeout 45m ./...

race: ## the tests with the race detector, which takes a C compiler
	CGO_ENABLED=1 $(GO) test -race -short -timeout 45m ./...

lint:
	@files=$$(gofmt -l .); test -z "$$files" || { echo 'gofmt these files:'; echo "$$files"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(TOOL) gosec -quiet $(GOSEC) ./...
	@found=$$($(TOOL) govulncheck ./... 2>&1) && code=0 || code=$$?; case $$found in \
	*'fetching vulnerabilities'*) echo 'govulncheck: skipped, for its database cannot be reached' ;; \
	*) echo "$$found"; exit $$code ;; esac

storm: ## 200 light hosts, at once and through one jump host; as root
	SPORE_STORM=200 $(GO) test -count=1 -timeout 30m -v -run TestStorm ./internal/e2e

chaos: build ## break a detached fleet on 7 lab hosts for a quarter of an hour; as root; CHAOS='-seed 1' replays
	$(GO) run ./internal/chaos/cmd $(CHAOS)

bench: build ## ratios against what people have instead, on real hosts; as root
	$(GO) run ./bench

fuzz: ## each fuzz test for FUZZTIME
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$$file" | while read -r name; do \
			$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done || exit 1; \
	done

docs: ## the parts of docs/ that are made from the code
	$(GO) test ./cmd/spore -run TestReferences -update

release: $(RELEASED) ## binaries for other systems, with checksums and SBOMs, in dist/; the same from the same sources
	$(GO) run ./internal/release '$(VERSION)' $(RELEASED)

$(RELEASED): dist/spore-%:
	GOOS=$(firstword $(subst -, ,$*)) GOARCH=$(lastword $(subst -, ,$*)) \
		$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS) -buildid=' -o $@ ./cmd/spore

clean:
	rm -rf bin dist
