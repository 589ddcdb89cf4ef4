# The two commands that a user needs are `make run` and `make test`. Everything
# that they need beside Go and make is installed or fetched on the way.

GO    ?= go
BIN   := bin/qcemu
FUZZRUNS ?= 50000

.PHONY: all run test build modules deps check unit fuzz guest-tests mutants generate clean help

help:
	@echo 'make run    boot the guest on the model, run every suite, print the result'
	@echo 'make test   everything that must pass before a change lands, the guest boot included'
	@echo 'make build  bin/qcemu alone'
	@echo 'make check  the fast part of make test: formatting, vet, staticcheck, unit tests'

build: $(BIN)

# Go knows best what has to be built again.
.PHONY: $(BIN)
$(BIN):
	@mkdir -p bin
	$(GO) build -o $(BIN) ./cmd/qcemu

run: build
	$(BIN) run $(ARGS)

deps: modules build
	@$(BIN) guest deps

# Go does not try again what it could not fetch.
modules:
	@for wait in 5 20 60; do $(GO) mod download && exit 0; sleep $$wait; done; $(GO) mod download

test: deps check fuzz guest-tests
	@echo 'make test: all passed'

check:
	@echo '== formatting, vet, staticcheck'
	@bad=$$(gofmt -l .) || exit 1; if [ -n "$$bad" ]; then echo "gofmt would change: $$bad"; exit 1; fi
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./guest/...
	$(GO) tool staticcheck ./...
	@$(MAKE) --no-print-directory unit

unit:
	@echo '== unit tests, with the race detector'
	$(GO) test -race -timeout 60m ./...

# Each fuzz target for a moment, from its committed corpus. A number of runs and
# not of seconds: at the end of a time, Go before 1.27 may take the stop of its
# own workers for a failure (go.dev/issue/75804), and minimising what it found
# new may fill all of the time. FuzzServe makes a folder and a connection each
# time, FuzzRecording replays three times: they get a twentieth.
fuzz:
	@echo '== fuzz targets, $(FUZZRUNS) runs each'
	@set -e; for pkg in $$(grep -l --include='*_test.go' -r '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$pkg/*_test.go); do \
			runs=$(FUZZRUNS); case $$target in FuzzServe|FuzzRecording) runs=$$((runs / 20));; esac; \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $${runs}x -fuzzminimizetime 100x $$pkg; \
		done; done

# The real guest, both drivers, several SoCs; the race with the stock driver, and
# its absence with the series.
guest-tests: build
	@echo '== contention, stock driver: the race must show'
	$(BIN) run --driver stock --suite contention --seed 1 --out out/stock
	@echo '== contention and faults, series driver: nothing may be corrupted'
	$(BIN) run --driver series --suite contention,faults --seed 77 --out out/series
	@echo '== the ways to an engine: its own driver, virtio-crypto on it, and on QEMU itself'
	$(BIN) bench --compare
	@echo '== guest tests'
	QCEMU_E2E=1 QCEMU=$(abspath $(BIN)) $(GO) test -count=1 -p 1 -timeout 180m -v ./tests/...

# Mistakes that are put into the series one at a time: each that the hardware can
# see has to be named. About an hour; not part of make test, which has the quick ones.
mutants: build
	QCEMU_MUTANTS=1 QCEMU=$(abspath $(BIN)) $(GO) test -count=1 -timeout 6h -v -run TestMutants ./tests/

generate:
	$(GO) generate ./...

clean:
	rm -rf bin out
