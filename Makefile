# Targets explain themselves: `make` lists them. Everything that is needed is built on first use and kept in $HOZON_CACHE (default ~/.cache/hozon).
SHELL := /bin/bash
GO ?= go
export CGO_ENABLED ?= 0
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## Build bin/hozon
	$(GO) build -trimpath -o bin/hozon ./cmd/hozon

# What the image may weigh, packed, in bytes for each platform.
IMAGE_BUDGET = 30000000
VERSION ?= dev

.PHONY: image
image: ## Build bin/hozon-image.tar: an OCI image for amd64 and arm64 with nothing in it but the program (VERSION=v1 names it)
	@for arch in amd64 arm64; do GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '-s -w' -o bin/hozon-linux-$$arch ./cmd/hozon || exit 1; done
	$$(tools/build tools/image . image) -name hozon:$(VERSION) -o bin/hozon-image.tar linux/amd64=bin/hozon-linux-amd64 linux/arm64=bin/hozon-linux-arm64
	@size=$$(stat -c %s bin/hozon-image.tar); echo "bin/hozon-image.tar: $$size bytes"; \
	  test $$size -le $$((2 * $(IMAGE_BUDGET))) || { echo "more than the budget of $(IMAGE_BUDGET) bytes for each platform"; exit 1; }

.PHONY: demo
demo: build ## Back up a real Kubernetes, wreck it, bring it back, and compare every object
	$(GO) run ./demo

.PHONY: check
check: ## Format, vet, lint and the tests that need no servers (under a minute once built)
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) -C bench vet ./...
	$$(tools/build tools/lint honnef.co/go/tools/cmd/staticcheck staticcheck) ./...
	$(GO) test -short ./...

.PHONY: peers
peers: # what tests run against; built before go test counts its time
	@devcluster/build >/dev/null
	@tools/build tools/s3 github.com/versity/versitygw/cmd/versitygw versitygw >/dev/null
	@[ "$$(id -u)" != 0 ] || tools/node/install >/dev/null
	@tools/build tools/gcs github.com/fsouza/fake-gcs-server fake-gcs-server >/dev/null
	@tools/azure/install >/dev/null
	@[ "$$(id -u)" != 0 ] || tools/build tools/csi . csi >/dev/null
	@tools/build tools/helm helm.sh/helm/v3/cmd/helm helm >/dev/null
	@[ "$$(id -u)" != 0 ] || tools/etcd-3.4/install >/dev/null
	@tools/build tools/gen sigs.k8s.io/controller-tools/cmd/controller-gen controller-gen >/dev/null
	@tools/build tools/proto google.golang.org/protobuf/cmd/protoc-gen-go protoc-gen-go >/dev/null
	@tools/build tools/proto . proto >/dev/null
	@tools/build tools/test gotest.tools/gotestsum gotestsum >/dev/null
	@tools/build test/plugin/program . velero-plugin-example >/dev/null

.PHONY: test
test: peers check ## Everything: real API servers, a real S3 server, the command line, the fixtures
	$$(tools/build tools/test gotest.tools/gotestsum gotestsum) --format standard-quiet --hide-summary skipped \
	  --rerun-fails=1 --rerun-fails-max-failures 3 --rerun-fails-run-root-test --packages ./... -- -timeout 30m

.PHONY: crash
crash: peers ## Break everything: each store operation, 50 kills each, outages, storms (minutes)
	HOZON_CRASH_RUNS=50 $(GO) test -count=1 -timeout 60m ./test/crash
	HOZON_CRASH_RUNS=50 $(GO) test -count=1 -timeout 60m -run 'Kill|Gone|Leader|Cancel|Left' ./test/server
	HOZON_FRIENDLY=1 $(GO) test -count=1 -timeout 10m ./test/friendly

.PHONY: crash-volumes
crash-volumes: peers ## Kill server, node agent, store and movers 20 times each in backups and restores of volumes (half an hour; HOZON_VICTIM=store for one of them, HOZON_SEED)
	HOZON_CRASH_RUNS=$${HOZON_CRASH_RUNS:-20} $(GO) test -count=1 -timeout 120m -v -run '^TestKillsIn' ./test/podvolume

.PHONY: peer
peer: peers ## Velero and Hozon drive each other's servers, and restore each other's backups (builds Velero once, minutes)
	HOZON_PEER=1 $(GO) -C bench test -count=1 -timeout 30m -v -run '^TestPeer' ./peer
	HOZON_PEER=1 $(GO) test -count=1 -timeout 30m -v -run '^TestPeer' ./test/server ./test/plugin ./test/install ./test/podvolume

.PHONY: conformance
conformance: peers ## The restore cases that break others, in five ways (SUT=velero: real Velero beside, builds it once, minutes)
ifeq ($(SUT),velero)
	HOZON_PEER=1 $(GO) -C bench test -count=1 -timeout 40m -v -run '^TestConformancePeer$$' ./peer
else
	$(GO) test -count=1 -timeout 20m -v -run '^TestConformance$$' ./test/conformance
endif

.PHONY: scale
scale: peers ## Fill a cluster with 300,000 objects and watch time and memory (20 minutes)
	HOZON_SCALE=$${HOZON_SCALE:-300000} $(GO) test -count=1 -timeout 60m -v -run '^TestScale$$' ./test/scale

.PHONY: gen
gen: ## Generate deep copies and CRDs from the types in api/, and the messages of plugins
	@tools/gen/run

.PHONY: dev
dev: ## Start a dev cluster and print the KUBECONFIG to export (NAME=x for several, NODE=1 to run pods)
	@$(GO) run ./internal/cluster/clustertest/dev -name $(or $(NAME),default) $(if $(NODE),-node) up

.PHONY: dev-down
dev-down: ## Stop the dev cluster and leave nothing behind
	@$(GO) run ./internal/cluster/clustertest/dev -name $(or $(NAME),default) down

.PHONY: bench
bench: ## Measure backup and restore of N=10000 objects, RUNS=5 times: table, and JSON in bench/out (N=300 RUNS=1 is a smoke test)
	$(GO) -C bench run .

.PHONY: bench-project
bench-project: ## Measure the export of a cluster of N=7000 objects as manifests (about 5,000: the rest are made by controllers), RUNS=5 times
	N=$${N:-7000} $(GO) -C bench run . -only project

.PHONY: bench-velero
bench-velero: ## Measure against real Velero, in turns: backups of N=10000, restores of N_RESTORE=2000, RUNS=5 rounds (long)
	$(GO) -C bench run . velero

.PHONY: bench-server
bench-server: ## Measure our server against real Velero's, in turns: backups of N=10000 and of one object, restores of N_RESTORE=5000, schedules, RUNS=5 rounds (hours; -only and RUNS=1 are shorter)
	$(GO) -C bench run . server

.PHONY: bench-transfer
bench-transfer: peers ## Pull 1 GiB in 10,000 files out of a pod, against tar through kubectl exec (Linux, root)
	HOZON_TRANSFER=1 $(GO) test -count=1 -timeout 30m -v -run '^TestSpeed$$' ./test/volume

.PHONY: bench-volumes
bench-volumes: ## Save and restore FILES=2000 files of 1 MB beside kopia's program and restic's, and SMALL=500000 files of 200 bytes in a cgroup of 1 GiB (Linux, root; builds kopia and restic once)
	$(GO) -C bench run ./volumes -files $${FILES:-2000} -small $${SMALL:-500000} -runs $${RUNS:-1}

.PHONY: scale-volumes
scale-volumes: ## Save, save again, restore, delete and maintain SMALL=500000 files of 200 bytes, each step in a cgroup of LIMIT=512 MiB (Linux, root; minutes)
	$(GO) -C bench run ./volumes -files 0 -small $${SMALL:-500000} -limit $${LIMIT:-512} -with ""

.PHONY: scenario
scenario: peers ## Lose control planes of three machines in every way, kill their restore at every step, and bring them back (Linux, root; long)
	@tools/build tools/etcd-3.5 go.etcd.io/etcd/server/v3 etcd >/dev/null
	@tools/build tools/etcd-3.7 go.etcd.io/etcd/server/v3 etcd >/dev/null
	HOZON_SCENARIO=1 $(GO) test -count=1 -timeout 120m -v ./test/scenario

.PHONY: bench-etcd
bench-etcd: peers ## Save an etcd of MIB=2048 with OBJECTS=100000, RUNS=3 times, against etcdctl snapshot save (Linux, root)
	HOZON_BENCH_MIB=$${MIB:-2048} HOZON_BENCH_OBJECTS=$${OBJECTS:-100000} $(GO) test -count=1 -timeout 60m -v -run '^TestBenchEtcd$$' ./test/scenario

.PHONY: fuzz
fuzz: ## Fuzz every reader for FUZZTIME (default 1m) each
	@for p in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z]+' $$p/*_test.go | sed 's/func //'); do \
	    $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-1m} ./$$p || exit 1; done; done
