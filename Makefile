# Hostless: `make help` lists the targets.

GO       ?= go
PREFIX   ?= $(HOME)/.local
PORT     ?= 48282
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN      := bin
LDFLAGS  := -s -w -X main.version=$(VERSION)
HOSTLESS := $(BIN)/hostless

STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
# A number of inputs instead of a duration: a fuzz run with a time limit occasionally fails
# with "context deadline exceeded" although nothing was found.
FUZZTIME    ?= 30000x
BENCHTIME   ?= 1s

export CGO_ENABLED ?= 0

.PHONY: help build dist clean serve serve-dev stop keys-add keys-list keys-remove health up down demo \
	test race lint fuzz bench bench-peers golden prices docs cross install uninstall

help: ## list the targets
	@for first in 'up|down|demo' 'build|test|lint'; do awk -F ':.*## ' "/^($$first):.*## /"' {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST); done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / && !/^(up|down|demo|build|test|lint):/ {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/hostless and bin/hostlessd
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/hostless ./cmd/hostlessd

dist: ## build packages, archives, SBOMs, the Homebrew formula and checksums into dist/
	@rm -rf dist
	$(GO) run ./packaging/dist -version '$(VERSION)' -out dist

clean: ## remove the build results
	rm -rf $(BIN) dist

serve: build ## run the daemon in the foreground [PORT=]
	$(HOSTLESS) serve --port $(PORT)

serve-dev: build ## the same, verbose, and without tokens for your own local clients [PORT=]
	$(HOSTLESS) serve --port $(PORT) --verbose --dev-mode

stop: build ## stop the daemon
	$(HOSTLESS) stop

# The key is passed through the environment exactly as typed: neither make nor the shell
# expands it, and it only appears in make's own arguments.
keys-add: export KEY_AS_TYPED := $(value KEY)
keys-add: build ## add a provider key: PROVIDER= [KEY=] [BASE_URL=]; without KEY it prompts for the key
	@test -n "$(PROVIDER)" || { echo "make keys-add: PROVIDER= is missing, as in: make keys-add PROVIDER=openai KEY=sk-..." >&2; exit 2; }
	@set -- "$(PROVIDER)" $(if $(BASE_URL),--base-url "$(BASE_URL)"); \
	if [ -n "$$KEY_AS_TYPED" ]; then printf '%s' "$$KEY_AS_TYPED" | $(HOSTLESS) keys add "$$@" -; else $(HOSTLESS) keys add "$$@"; fi

keys-list: build ## list the provider keys
	@$(HOSTLESS) keys list

keys-remove: build ## remove a provider's key: PROVIDER=
	@test -n "$(PROVIDER)" || { echo "make keys-remove: PROVIDER= is missing" >&2; exit 2; }
	@$(HOSTLESS) keys remove "$(PROVIDER)"

health: build ## show the daemon's status
	@$(HOSTLESS) status

up: build ## install and start Hostless for this user, wait until it is healthy, print the next commands [PORT=]
	@PREFIX="$(PREFIX)" PORT="$(if $(filter file,$(origin PORT)),,$(PORT))" packaging/up

down: build ## remove what `make up` installed; keys and settings stay [PURGE=1]
	@PREFIX="$(PREFIX)" PURGE="$(PURGE)" packaging/down

demo: build ## run a temporary daemon and a chat app with the built-in echo model
	@$(GO) build -o $(BIN)/ ./examples/chat ./examples/demo
	@$(BIN)/demo -bin $(BIN)

test: ## run the tests; those that need root, systemd, a browser, Node or Python are skipped without it
	$(GO) test ./...

race: ## run the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./cmd/... ./pkg/... 

lint: ## run gofmt, vet and staticcheck
	@unformatted=$$(gofmt -l cmd pkg init web test examples packaging); [ -z "$$unformatted" ] || { echo "not gofmt'ed: $$unformatted" >&2; exit 1; }
	$(GO) vet ./...
	$(STATICCHECK) ./...

fuzz: ## run each fuzz target [FUZZTIME=30000x]
	@$(GO) list ./... | while read -r pkg; do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz'); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg >/tmp/hostless-fuzz.$$$$ 2>&1 || { cat /tmp/hostless-fuzz.$$$$; exit 1; }; \
			rm -f /tmp/hostless-fuzz.$$$$; \
		done || exit 1; \
	done

bench: ## measure latency, throughput and memory, compared with a direct call and a plain ReverseProxy in the same run
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./pkg/... ./test/bench/...

bench-peers: build ## compare Hostless with nginx, haproxy, a plain ReverseProxy, Caddy and portless on one core (Linux, needs nginx)
	$(GO) run ./test/peers

golden: ## rewrite the translations' golden files; review the diff
	$(GO) test ./pkg/dialect/anthropic ./pkg/dialect/gemini ./pkg/dialect/ollama ./pkg/dialect/openai ./pkg/dialect/responses -update

prices: ## rewrite the embedded price list from a copy of models.dev's api.json: FILE=
	@test -n "$(FILE)" || { echo "make prices: FILE= is missing, a copy of https://models.dev/api.json" >&2; exit 2; }
	$(GO) test ./pkg/prices -run Snapshot -update "$(abspath $(FILE))"

docs: ## rewrite the generated parts of the documentation
	$(GO) test ./cmd/hostless -run Docs -update
	$(GO) test ./pkg/gateway/endpoint -run EndpointMatrix -update
	$(GO) test ./pkg/gateway -run FeatureMatrix -update

cross: ## build for every platform, without output
	@for os in linux darwin; do for arch in amd64 arm64; do GOOS=$$os GOARCH=$$arch $(GO) build -o /dev/null ./... || exit 1; done; done

install: build ## copy the binaries to PREFIX/bin (default ~/.local/bin)
	@mkdir -p "$(PREFIX)/bin"
	@for b in hostless hostlessd; do cp "$(BIN)/$$b" "$(PREFIX)/bin/.$$b.new" && mv "$(PREFIX)/bin/.$$b.new" "$(PREFIX)/bin/$$b" || exit 1; done
	@echo "installed: $(PREFIX)/bin/hostless, $(PREFIX)/bin/hostlessd"

uninstall: ## remove the binaries from PREFIX/bin
	rm -f "$(PREFIX)/bin/hostless" "$(PREFIX)/bin/hostlessd"
