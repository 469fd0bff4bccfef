# build test lint fuzz mutate cover bench: the words a developer needs.
# release reproducible image: what is shipped.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o cwvault ./cmd/cwvault

test:
	$(GO) test -race -shuffle=on -timeout=15m ./...

lint:
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	printf 'linux: GOOS=linux\nwindows: GOOS=windows\n' | $(GO) run $(STATICCHECK) -matrix ./cmd/...
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofmt-ed: $$out"; exit 1; }
	$(GO) mod tidy -diff

# Every fuzz target in turn, each for FUZZTIME.
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

# Breaks each rule of the core on purpose and sees a test fail for each.
mutate:
	CWVAULT_MUTATE=1 $(GO) test -run TestMutants -timeout 120m -v ./sync

cover:
	$(GO) test -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -1

# The figures of docs/PERFORMANCE.md.
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Static programs for all systems, stamped with the version, and their sums.
# Equal commits make equal files with equal versions of Go, whatever the
# directory, the cache and the machine.
TARGETS ?= linux/amd64 linux/arm64 darwin/arm64 windows/amd64
DIST ?= dist

release:
	@test -n "$(VERSION)" || { echo "usage: make release VERSION=v1.2.3"; exit 1; }
	rm -rf "$(DIST)"
	@set -e; for target in $(TARGETS); do \
	  os=$${target%/*}; arch=$${target#*/}; \
	  out="$(DIST)/cwvault-$(VERSION)-$$os-$$arch"; if [ $$os = windows ]; then out="$$out.exe"; fi; \
	  echo "$$out"; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT= GOFLAGS= GOWORK=off \
	    $(GO) build -trimpath -buildvcs=true -ldflags "-s -w -X main.version=$(VERSION)" -o "$$out" ./cmd/cwvault; \
	done
	cd "$(DIST)" && sha256sum cwvault-* >SHA256SUMS

# Builds the release once more, from a clone in another place with an empty
# cache, and compares.
reproducible:
	@test -f "$(DIST)/SHA256SUMS" || { echo "make release first"; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "commit first: the release is marked as modified"; exit 1; }
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	git clone -q . "$$tmp/elsewhere/cwvault" && \
	GOCACHE="$$tmp/cache" $(MAKE) --no-print-directory -C "$$tmp/elsewhere/cwvault" release VERSION="$(VERSION)" TARGETS="$(TARGETS)" DIST=dist && \
	cd "$(DIST)" && sha256sum --check --strict "$$tmp/elsewhere/cwvault/dist/SHA256SUMS"

# An image with nothing in it but the program of this system, certificates and
# an empty directory for the journal. BUILDER is buildah, podman or docker.
BUILDER ?= podman
IMAGE ?= cwvault:$(VERSION)
CERTIFICATES ?= /etc/ssl/certs/ca-certificates.crt

image:
	@test -n "$(VERSION)" || { echo "usage: make image VERSION=v1.2.3"; exit 1; }
	@ls "$(DIST)"/cwvault-"$(VERSION)"-linux-* >/dev/null || { echo "make release first"; exit 1; }
	rm -rf "$(DIST)/image" && mkdir -p "$(DIST)/image/state"
	cp "$(CERTIFICATES)" "$(DIST)/image/ca-certificates.crt"
	$(BUILDER) build --build-arg VERSION="$(VERSION)" --build-arg COMMIT="$$(git rev-parse HEAD)" -t "$(IMAGE)" -f Containerfile .

.PHONY: build test lint fuzz mutate cover bench release reproducible image
