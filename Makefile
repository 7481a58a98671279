# Everything a developer or CI does with Fanfare. "make help" lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)
GO        ?= go
FUZZTIME  ?= 10s
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Debian packages that the tests need beside Go, a file that shows each is there, and the
# part that FANFARE_TEST_WITHOUT names, if it is not the package.
TEST_PACKAGES := redis-server:/usr/bin/redis-server:redis zookeeper:/usr/share/zookeeper/bin/zkServer.sh default-jre-headless:/usr/bin/java:zookeeper \
	chromium:/usr/bin/chromium fonts-noto-cjk:/usr/share/fonts/opentype/noto ca-certificates:/etc/ssl/certs/ca-certificates.crt gcc:/usr/bin/gcc libc6-dev:/usr/include/stdlib.h \
	prometheus:/usr/bin/promtool prometheus-alertmanager:/usr/bin/amtool prometheus-node-exporter:/usr/bin/prometheus-node-exporter \
	prometheus-blackbox-exporter:/usr/bin/prometheus-blackbox-exporter prometheus-redis-exporter:/usr/bin/prometheus-redis-exporter

# Debian packages that "make test-compose" needs to make and run stand-ins for images, and the programs they bring.
COMPOSE_PACKAGES := docker.io:dockerd docker.io:docker docker-compose:docker-compose debootstrap:debootstrap iproute2:ip iptables:iptables

.PHONY: help build run test test-alerts test-unit test-rules replicas test-deps test-compose test-compose-deps docker-image vet gofmt lint fuzz bench cross reference dashboards clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

build: ## Build bin/fanfare.
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/fanfare ./cmd/fanfare

run: build ## Build and start everything in one process, on loopback.
	exec bin/fanfare run $(ARGS)

# Never from the cache: some tests build the program, which the cache does not know of.
test: test-deps vet gofmt test-rules ## Install what the tests need and run all of them, with the race detector.
	$(GO) test -race -count=1 -timeout 15m -skip '^TestStack$$' ./...
	@if [ -n "$${FANFARE_TEST_WITHOUT:-}" ]; then echo "left out, as FANFARE_TEST_WITHOUT says: $$FANFARE_TEST_WITHOUT"; else echo "nothing was left out"; fi
	@echo "separate: a fault for every alert, make test-alerts; docker-compose.yml in containers, make test-compose"

test-alerts: test-deps ## Break everything that an alert is about, with all watchers as processes, and wait for the messages.
	$(GO) test -count=1 -timeout 20m -run '^TestStack$$' ./e2e/watch

test-unit: vet gofmt ## Run the tests without installing anything.
	$(GO) test -race -count=1 -timeout 15m ./...

test-rules: ## Read rules, queries and configuration with the code of Prometheus 3, a module of its own.
	cd configs/prometheus3 && $(GO) vet ./... && $(GO) test -count=1 ./...

test-deps:
	@missing=(); parts=(); \
	for entry in $(TEST_PACKAGES); do \
		IFS=: read -r package file part <<<"$$entry"; \
		case ",$${FANFARE_TEST_WITHOUT:-}," in *,"$${part:-$$package}",*) continue;; esac; \
		[ -e "$$file" ] || { missing+=("$$package"); parts+=("$${part:-$$package}"); }; \
	done; \
	[ $${#missing[@]} -eq 0 ] && exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "make test: missing $${missing[*]}: install them (Debian: apt-get install $${missing[*]}), or name $${parts[*]} in FANFARE_TEST_WITHOUT" >&2; exit 1; \
	fi; \
	echo "installing $${missing[*]}"; \
	{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$${missing[@]}"; } >/dev/null \
		|| { echo "make test: apt-get could not install $${missing[*]}" >&2; exit 1; }

# FANFARE_IMAGES=real uses the Docker daemon that runs and the real images.
test-compose: test-compose-deps ## Start docker-compose.yml with stand-ins for its images and test the cluster.
	$(GO) build -o bin/stand-ins ./e2e/images
	FANFARE_TEST_COMPOSE=1 $(GO) test -count=1 -v -run TestCluster -timeout 25m -exec '$(CURDIR)/bin/stand-ins -C $(CURDIR)' ./e2e/compose

test-compose-deps:
	@[ "$${FANFARE_IMAGES:-stand-in}" = stand-in ] || exit 0; \
	missing=(); \
	for entry in $(COMPOSE_PACKAGES); do command -v "$${entry#*:}" >/dev/null || missing+=("$${entry%%:*}"); done; \
	[ -n "$$(ls /sys/fs/cgroup)" ] || command -v cgroupfs-mount >/dev/null || missing+=(cgroupfs-mount); \
	[ $${#missing[@]} -eq 0 ] && exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "make test-compose: missing $${missing[*]}: install them (Debian: apt-get install $${missing[*]}), or set FANFARE_IMAGES=real" >&2; exit 1; \
	fi; \
	echo "installing $${missing[*]}"; \
	{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$${missing[@]}"; } >/dev/null \
		|| { echo "make test-compose: apt-get could not install $${missing[*]}" >&2; exit 1; }

docker-image: ## Build the container image fanfare:VERSION, also tagged dev.
	docker build --build-arg VERSION='$(VERSION)' --build-arg REVISION='$(REVISION)' -t 'fanfare:$(VERSION)' -t fanfare:dev .

vet:
	$(GO) vet ./...

gofmt:
	@bad=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	[ -z "$$bad" ] || { echo "not formatted (run gofmt -w): $$bad" >&2; exit 1; }

lint: vet gofmt ## Run vet, gofmt and staticcheck.
	$(GO) run $(STATICCHECK) ./...

fuzz: ## Run each fuzz target for FUZZTIME (10s).
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench: build ## Run the Go benchmarks and the load scenarios; prints, asserts nothing.
	$(GO) test -run '^$$' -bench . -benchmem ./...
	bin/fanfare bench all
	bin/fanfare bench cluster

cross: ## Build for every platform into dist/.
	@for p in $(PLATFORMS); do \
		out=dist/fanfare-$${p%/*}-$${p#*/}; [ "$${p%/*}" != windows ] || out=$$out.exe; \
		echo "building $$out"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/fanfare; \
	done

reference: build ## Write docs/CONFIGURATION.md from the code.
	bin/fanfare check-config --reference > docs/CONFIGURATION.md

dashboards: ## Write the JSON of the Grafana dashboards from the code.
	$(GO) run ./cmd/fanfare dashboards write

replicas: ## Write the configuration of the followers' replicas (profile ha).
	@for dir in configs/prometheus-follower-*; do sed 's/replica: a}/replica: b}/' $$dir/prometheus.yml > $$dir/prometheus-b.yml; done

clean: ## Remove what was built.
	rm -rf bin dist
