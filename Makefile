# build test lint fuzz mutate cover bench: the words a developer needs.

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
	CWVAULT_MUTATE=1 $(GO) test -run TestMutants -timeout 60m -v ./sync

cover:
	$(GO) test -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -1

# The figures of docs/PERFORMANCE.md.
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: build test lint fuzz mutate cover bench
