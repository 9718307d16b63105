# Hostless: `make help` lists the targets.

GO       ?= go
PREFIX   ?= $(HOME)/.local
PORT     ?= 48282
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN      := bin
LDFLAGS  := -s -w -X main.version=$(VERSION)
HOSTLESS := $(BIN)/hostless

STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
# A number of inputs, not a time: a fuzz run that ends by the clock now and then fails
# with «context deadline exceeded» and nothing found.
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

clean: ## remove what was built
	rm -rf $(BIN) dist

serve: build ## run the daemon in the foreground [PORT=]
	$(HOSTLESS) serve --port $(PORT)

serve-dev: build ## the same, verbose, without tokens for your own local callers [PORT=]
	$(HOSTLESS) serve --port $(PORT) --verbose --dev-mode

stop: build ## stop the daemon
	$(HOSTLESS) stop

# The key as it was typed, through the environment: neither make nor the shell
# reads it, and no argument but make's own shows it.
keys-add: export KEY_AS_TYPED := $(value KEY)
keys-add: build ## add a provider key: PROVIDER= [KEY=] [BASE_URL=]; without KEY it is asked for
	@test -n "$(PROVIDER)" || { echo "make keys-add: PROVIDER= is missing, as in: make keys-add PROVIDER=openai KEY=sk-..." >&2; exit 2; }
	@set -- "$(PROVIDER)" $(if $(BASE_URL),--base-url "$(BASE_URL)"); \
	if [ -n "$$KEY_AS_TYPED" ]; then printf '%s' "$$KEY_AS_TYPED" | $(HOSTLESS) keys add "$$@" -; else $(HOSTLESS) keys add "$$@"; fi

keys-list: build ## list the providers that have a key
	@$(HOSTLESS) keys list

keys-remove: build ## remove a provider's key: PROVIDER=
	@test -n "$(PROVIDER)" || { echo "make keys-remove: PROVIDER= is missing" >&2; exit 2; }
	@$(HOSTLESS) keys remove "$(PROVIDER)"

health: build ## ask the daemon how it is
	@$(HOSTLESS) status

up: build ## put the daemon in place for this user, wait until it is healthy, say what to type next [PORT=]
	@PREFIX="$(PREFIX)" PORT="$(if $(filter file,$(origin PORT)),,$(PORT))" packaging/up

down: build ## take away what `make up` put in place; keys and settings stay [PURGE=1]
	@PREFIX="$(PREFIX)" PURGE="$(PURGE)" packaging/down

demo: build ## a throwaway daemon and a chat app talking to the built-in echo model
	@$(GO) build -o $(BIN)/ ./examples/chat ./examples/demo
	@$(BIN)/demo -bin $(BIN)

test: ## run the tests; what needs root, systemd, a browser, Node or Python skips where they are missing
	$(GO) test ./...

race: ## run the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./cmd/... ./pkg/... 

lint: ## gofmt, vet, staticcheck
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

bench: ## added latency, throughput, memory: against a direct call and a bare ReverseProxy in one run
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./pkg/... ./test/bench/...

bench-peers: build ## Hostless beside nginx, haproxy, a bare ReverseProxy, Caddy and portless, on one core (Linux, needs nginx)
	$(GO) run ./test/peers

golden: ## rewrite the golden files of the translations; review the diff
	$(GO) test ./pkg/dialect/anthropic ./pkg/dialect/gemini ./pkg/dialect/ollama ./pkg/dialect/openai ./pkg/dialect/responses -update

prices: ## rewrite the embedded price list from a file in the shape of models.dev's api.json: FILE=
	@test -n "$(FILE)" || { echo "make prices: FILE= is missing, a copy of https://models.dev/api.json" >&2; exit 2; }
	$(GO) test ./pkg/prices -run Snapshot -update "$(abspath $(FILE))"

docs: ## rewrite the generated part of the documentation
	$(GO) test ./cmd/hostless -run Docs -update
	$(GO) test ./pkg/gateway/endpoint -run EndpointMatrix -update
	$(GO) test ./pkg/gateway -run FeatureMatrix -update

cross: ## build for every platform without keeping the result
	@for os in linux darwin; do for arch in amd64 arm64; do GOOS=$$os GOARCH=$$arch $(GO) build -o /dev/null ./... || exit 1; done; done

install: build ## copy the binaries to PREFIX/bin (default ~/.local/bin)
	@mkdir -p "$(PREFIX)/bin"
	@for b in hostless hostlessd; do cp "$(BIN)/$$b" "$(PREFIX)/bin/.$$b.new" && mv "$(PREFIX)/bin/.$$b.new" "$(PREFIX)/bin/$$b" || exit 1; done
	@echo "installed: $(PREFIX)/bin/hostless, $(PREFIX)/bin/hostlessd"

uninstall: ## remove the binaries from PREFIX/bin
	rm -f "$(PREFIX)/bin/hostless" "$(PREFIX)/bin/hostlessd"
