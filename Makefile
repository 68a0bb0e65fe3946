# SPDX-License-Identifier: Apache-2.0
# A menu. Every target is idempotent, installs what it misses and ends stdout with one line of JSON.
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
PRESET ?= release
BUILD := build/$(PRESET)
TARGET := scripts/target

.DEFAULT_GOAL := help
.PHONY: help deps build fmt lint unit test demo hostile sim limits chaos conformance crowd killed oracle long debug packages install bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install the Debian packages everything here needs
	@$(TARGET) deps -- scripts/deps build lint vm bench

build: ## compile everything (PRESET=dev|release|clang|asan|tsan|fuzz)
	@$(TARGET) build -- scripts/build $(PRESET)

fmt: ## format the C++ files
	@$(TARGET) fmt -- scripts/lint --fix

lint: ## formatters and linters as errors: clang-format, clang-tidy, shellcheck, W=1, sparse, checkpatch
	@$(TARGET) lint -- scripts/lint

unit: build ## unit, abi, golden and tidy tests: no root, no network
	@$(TARGET) unit -- scripts/unit $(BUILD)

test: ## everything continuous integration runs
	@$(TARGET) test -- scripts/test

hostile: ## mutated images against core under ASan and UBSan, and planted bugs that must be caught (SEED=, COUNT=)
	@$(TARGET) hostile -- scripts/hostile $(or $(SEED),1) $(or $(COUNT),100000)

chaos: ## two kernels and two hosts' processes on one pool, kills and power-off included (CHAOS_SECONDS=600)
	@$(TARGET) chaos -- scripts/chaos $(or $(CHAOS_SECONDS),600)

long: build ## what is too long for `make test`: containerd 1.7, nerdctl and CRI, migration, packages, quotas, killed over kernel mounts
	@$(TARGET) long -- scripts/e2e e2e -m long

debug: ## the module's tests on a kernel built for it, with KASAN, lockdep and KMEMLEAK
	@$(TARGET) debug -- scripts/debug

packages: ## Debian packages daxfs-tools and daxfs-snapshotter, into build/packages
	@$(TARGET) packages -- scripts/debs

install: build ## programs, units and configuration into /usr, /etc and /lib (DESTDIR=)
	@$(TARGET) install -- scripts/install $(BUILD)

conformance: ## containerd's own tests of snapshotters against daxfs-snapshotter
	@$(TARGET) conformance -- scripts/conformance

killed: ## daxfs-snapshotter killed before each call by which an RPC changes something
	@$(TARGET) killed -- scripts/killed

crowd: ## fifty clients pull, create and remove at once, and leave nothing (SECONDS=, CLIENTS=)
	@$(TARGET) crowd -- scripts/crowd $(or $(SECONDS),600) $(or $(CLIENTS),50)

oracle: ## random chains of layers, unpacked by containerd and by daxfs-snapshotter: the same trees (SEED=, COUNT=)
	@$(TARGET) oracle -- scripts/oracle $(or $(SEED),1) $(or $(COUNT),200)

sim: ## the pool's protocol: every interleaving of every small world, and each rule left out (SEED=, COUNT=)
	@$(TARGET) sim -- scripts/sim $(or $(SEED),1) $(or $(COUNT),20000)

demo: ## the main job for a person to watch: containerd in two machines pulls an image once and runs it in both
	@$(TARGET) demo -- scripts/demo

limits: build ## a file of 10 GiB, a million files, a directory of a million, the longest path: time and memory
	@$(TARGET) limits -- /usr/bin/python3 -B -m tests.limits $(BUILD)

bench: ## benchmarks beside their peers; JSON, text and pictures into docs/bench/ (PARTS=, all without)
	@$(TARGET) bench -- scripts/bench $(PARTS)
