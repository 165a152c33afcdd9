# Every task of the project. `make` alone prints them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv/bin
# Nothing outside the package registries: use the interpreter that is here.
export UV_PYTHON_DOWNLOADS := never
# The Rust tests load the ONNX Runtime that the Python package ships: one version in the whole product.
ORT_DYLIB = $(shell ls $(CURDIR)/.venv/lib/python3.*/site-packages/onnxruntime/capi/libonnxruntime.so.* 2>/dev/null | head -n 1)

.PHONY: help setup demo test lint format check-tools stubs clean \
	bench-serving bench-footprint bench-features bench-trees bench-score-file bench-training wheels soak fuzz miri asan

help: ## Show this help
	@echo "Candlewire: calibrated trading scores with honest bands, over gRPC"
	@echo
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | awk -F'|' '{printf "%-24s %s\n", $$1, $$2}'

check-tools:
	@bash scripts/check_tools.sh "$(PYTHON)"

.uv/path: scripts/find_uv.sh | check-tools
	@mkdir -p .uv
	@bash scripts/find_uv.sh "$(PYTHON)" "$(UV_VERSION)" > $@.new && mv $@.new $@

setup: check-tools .uv/path ## Build everything into .venv (the other targets do this first)
	@bash scripts/sync.sh "$$(cat .uv/path)" "$(PYTHON)"

demo: setup ## Train on real bars, serve, replay a live stream, write demo_report/index.html
	@$(VENV)/python -m examples.demo

test: setup ## Run every test: the Rust crates, then the whole Python suite
	@ORT_DYLIB_PATH="$(ORT_DYLIB)" PYO3_PYTHON="$(CURDIR)/$(VENV)/python" cargo test --release --workspace --locked --quiet
	@$(VENV)/pytest

lint: setup ## Check format, lints, types and docs; a warning is an error
	@cargo fmt --all --check
	@PYO3_PYTHON="$(CURDIR)/$(VENV)/python" cargo clippy --workspace --all-targets --all-features --locked --quiet -- -D warnings
	@PYO3_PYTHON="$(CURDIR)/$(VENV)/python" RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked --quiet
	@$(VENV)/ruff check
	@$(VENV)/ruff format --check --quiet
	@$(VENV)/mypy

format: setup ## Format all code
	@cargo fmt --all
	@$(VENV)/ruff check --fix --quiet || true
	@$(VENV)/ruff format --quiet

stubs: setup ## Generate the Python stubs from proto/ again
	@$(VENV)/python proto/generate_stubs.py

soak: setup ## The long form of what breaks servers: 50 kills under load, 1,000 reloads, 500 swaps, 10,000 connections, 200,000 vanished requests, 400,000 almost sound messages
	@CANDLEWIRE_SOAK_RESTARTS=50 CANDLEWIRE_SOAK_RELOADS=1000 CANDLEWIRE_SOAK_SWAPS=500 CANDLEWIRE_SOAK_VANISHING=20 \
		CANDLEWIRE_SOAK_CONNECTIONS=10000 CANDLEWIRE_SOAK_MUTATIONS=1000 CANDLEWIRE_SOAK_DAMAGES=1000 \
		$(VENV)/pytest --timeout=3600 --durations=10 \
		tests/server/test_journal.py tests/server/test_reloads.py tests/server/test_storms.py \
		tests/server/test_hostile_bytes.py tests/server/test_clock_jumps.py tests/server/test_full_disk.py \
		tests/server/test_mutated_requests.py tests/server/test_damaged_bundles.py tests/server/test_models_side_by_side.py \
		tests/server/test_lifecycle.py tests/server/test_fsync_policies.py tests/server/test_real_disks.py

bench-serving: setup ## Measure serving beside the server's own echo and other servers; builds as wheels are built, 5 to 15 minutes once
	@$(VENV)/python benchmarks/serving/run.py

bench-footprint: setup ## Measure how soon a server is ready, and the memory of 5,000 symbols on two timeframes
	@$(VENV)/python benchmarks/serving/footprint.py

bench-features: setup ## Measure the indicators beside other libraries
	@"$$(cat .uv/path)" sync --locked --quiet --inexact --python "$(PYTHON)" --group bench
	@$(VENV)/python benchmarks/features/run.py

bench-score-file: setup ## Measure scoring a large file
	@$(VENV)/python benchmarks/trees/score_file.py

bench-trees: setup ## Measure the tree kernel beside ONNX Runtime and others
	@"$$(cat .uv/path)" sync --locked --quiet --inexact --python "$(PYTHON)" --group bench
	@$(VENV)/python benchmarks/trees/run.py

bench-training: setup ## Measure training: a universe, one symbol, a million bars
	@$(VENV)/python benchmarks/training/run.py

MINUTES ?= 10
fuzz: check-tools ## Fuzz every reader of foreign bytes for MINUTES=10 each; needs cargo-fuzz and a nightly compiler
	@for crate in rust_features server/tree_kernel server; do \
		for target in $$(cd $$crate && cargo +nightly fuzz list); do \
			echo "$$crate $$target"; \
			(cd $$crate && mkdir -p fuzz/corpus/$$target && \
				cargo +nightly fuzz run $$target fuzz/corpus/$$target $$(ls -d fuzz/seeds/$$target fuzz/seeds 2>/dev/null | head -n 1) \
				-- -max_total_time=$$((60 * $(MINUTES))) -print_final_stats=1); \
		done; \
	done

miri: check-tools ## Run the features core's tests of memory and vectors under Miri (slow); needs a nightly compiler with miri
	@MIRIFLAGS="-Zmiri-disable-isolation" cargo +nightly miri test --target-dir target/miri -p candlewire-features --lib -- \
		history window instructions neighbours output

asan: check-tools ## Run all tests of the features core under the address sanitizer (5 minutes); needs a nightly compiler
	@RUSTFLAGS=-Zsanitizer=address cargo +nightly test --target-dir target/asan \
		--target "$$(rustc -vV | sed -n 's/^host: //p')" -p candlewire-features --lib --tests

wheels: setup ## Build the wheels to install elsewhere into dist/, the data plane with link-time optimisation
	@for room in proto features server training client; do \
		"$$(cat .uv/path)" build --quiet --package candlewire-$$room --wheel --out-dir dist; \
	done

clean: ## Remove everything that make built
	@rm -rf .venv .uv target demo_report
