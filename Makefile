# Recipes. `make` alone lists them. They install what is missing: the wasm target through rustup, Debian packages
# through apt-get (as root or by sudo), JavaScript and data through npm and pip.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# where Debian has web servers
export PATH := $(PATH):/usr/sbin

target := $(or $(CARGO_TARGET_DIR),target)
component := $(target)/wasm32-wasip2/component/mapproxy.wasm
demo := guest/core/demo
test_env = MAPPROXY_BIN=$(abspath $(target)/debug/mapproxy) MAPPROXY_COMPONENT=$(abspath $(component)) \
	MAPPROXY_HOSTILE_COMPONENT=$(abspath $(dir $(component))/mapproxy_hostile.wasm)

# with-tool COMMAND PACKAGE: installs a Debian package unless its command is there
with_tool = command -v $(1) > /dev/null || { \
	echo "$(1) is missing: installing the Debian package $(2)"; \
	as_root=; if [ "$$(id -u)" != 0 ]; then as_root=sudo; fi; \
	if ! command -v apt-get > /dev/null || { [ -n "$$as_root" ] && ! command -v sudo > /dev/null; }; then \
		echo "please install $(1) (Debian package $(2)) and try again" >&2; exit 1; fi; \
	$$as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq $(2) > /dev/null; }

help: ## list the recipes
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: component demo data ## start the sample WMS and the proxy, and print the address of the demo page
	cargo build -p mapproxy-host -p mapproxy-tests --bins
	@MAPPROXY_BIN=$(target)/debug/mapproxy SAMPLE_WMS_BIN=$(target)/debug/sample-wms MAPPROXY_COMPONENT=$(component) etc/run-demo.sh

test: component hostile demo data tools ## build everything and run all tests
	@if cargo nextest --version > /dev/null 2>&1; then \
		$(MAKE) --no-print-directory test-nextest; \
	else \
		$(MAKE) --no-print-directory test-cargo; \
	fi

# programs and tests are built by one command, so that both have the same features and wasmtime is built once
test-nextest:
	cargo build --bins --tests
	$(test_env) cargo nextest run --no-fail-fast

test-cargo:
	cargo build --bins --tests
	set -o pipefail; $(test_env) cargo test --no-fail-fast 2>&1 | tee $(target)/test.log || failed=1; \
	awk '/^test result:/ { passed += $$4; failed += $$6 } END { printf "%d passed, %d failed\n", passed, failed }' $(target)/test.log; \
	exit $${failed:-0}

# The host is compiled for what it does most, by a profile that was recorded while it served (`make profile`): a third
# less of its time for a tile. Names of functions depend on `--target`, so both are built with it.
triple := $(shell rustc --print host-tuple 2> /dev/null)
profiled = $(target)/$(triple)/release/mapproxy
# by name, since cargo does not see what is in it
profile = $(target)/host-$(firstword $(shell cksum host/profile.gz)).profdata

release: demo target $(profile) ## leave target/release/mapproxy (with the component inside) and mapproxy.wasm beside it
	cargo build -p mapproxy-guest --profile component --target wasm32-wasip2
	RUSTFLAGS="-Cprofile-use=$(abspath $(profile)) -Cllvm-args=-no-pgo-warn-mismatch" cargo build -p mapproxy-host --release --target $(triple)
	mkdir -p $(target)/release
	cp $(component) $(target)/release/mapproxy.wasm
	cp $(profiled) $(target)/release/mapproxy
	$(target)/release/mapproxy embed --component $(target)/release/mapproxy.wasm --output $(target)/release/mapproxy.new
	mv $(target)/release/mapproxy.new $(target)/release/mapproxy
	@ls -l $(target)/release/mapproxy $(target)/release/mapproxy.wasm

$(profile): host/profile.gz
	@mkdir -p $(target)
	gzip -dc host/profile.gz > $@.new && mv $@.new $@

# The first time it compiles the component, which is nothing to compile the host for. Stored tiles count most.
profiled_load = LLVM_PROFILE_FILE=$(abspath $(target))/profiling/raw/%p.profraw MAPPROXY_COMPONENT=$(abspath $(component)) \
	MAPPROXY_BIN=$(abspath $(target))/profiling/$(triple)/release/mapproxy $(target)/debug/load-endurance

profile: component data ## record host/profile.gz anew, after larger changes of the host or of its dependencies
	rustup component add llvm-tools
	cargo build --bins --tests
	RUSTFLAGS=-Cprofile-generate cargo build -p mapproxy-host --release --target $(triple) --target-dir $(target)/profiling
	$(profiled_load) 0
	rm -rf $(target)/profiling/raw $(target)/profiling/mixed
	$(profiled_load) 1
	mv $(target)/profiling/raw $(target)/profiling/mixed
	$(profiled_load) 1 tile
	$$(rustc --print sysroot)/lib/rustlib/$(triple)/bin/llvm-profdata merge --sparse -o $(target)/profiling/host.profdata \
		$(target)/profiling/mixed --weighted-input=20,$(target)/profiling/raw
	gzip -9nc $(target)/profiling/host.profdata > host/profile.gz.new && mv host/profile.gz.new host/profile.gz
	@ls -l host/profile.gz

dist: release ## pack a tarball and a Debian package into target/dist
	packaging/dist.sh $(target)/release/mapproxy $(target)/release/mapproxy.wasm $(target)/dist

test-deb: dist data ## install the Debian package in a fresh system (debootstrap, as root) and serve a map
	@$(call with_tool,debootstrap,debootstrap)
	@$(call with_tool,curl,curl)
	cargo build -p mapproxy-tests --bins
	packaging/test-deb.sh $(target)/dist/mapproxy-wasm_*.deb $(target)/debug/sample-wms

lint: demo target ## formatting and clippy, native and wasm, warnings are errors
	cargo fmt --all --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets -p mapproxy-bench -- -D warnings
	cargo clippy -p mapproxy-guest -p mapproxy-hostile --target wasm32-wasip2 -- -D warnings

fuzz_targets := fastcgi requests capabilities images coverages
# what each starts from, beside fuzz/seeds
fuzz_seeds_images := guest/core/src/image/golden
fuzz_seeds_coverages := guest/core/testdata/coverage guest/core/testdata/config/parts

fuzz: ## send nonsense to each of TARGETS (all) for FUZZ_SECONDS (60)
	@rustup run nightly rustc --version > /dev/null 2>&1 || rustup toolchain install nightly --profile minimal
	@command -v cargo-fuzz > /dev/null || cargo install cargo-fuzz --locked
	$(foreach name,$(or $(TARGETS),$(fuzz_targets)),mkdir -p fuzz/corpus/$(name) && cargo +nightly fuzz run $(name) fuzz/corpus/$(name) \
		$(wildcard fuzz/seeds/$(name)) $(fuzz_seeds_$(name)) -- -max_len=8192 -max_total_time=$(or $(FUZZ_SECONDS),60) &&) true

test-clients: component demo data oracle ## QGIS (900 MB of Debian packages) as our client, and MapProxy as our client and server
	@/usr/bin/python3 -c 'import qgis' 2> /dev/null || { $(call with_tool,qgis-python,python3-qgis); }
	cargo build --bins --tests
	MAPPROXY_BIN=$(target)/debug/mapproxy SAMPLE_WMS_BIN=$(target)/debug/sample-wms MAPPROXY_COMPONENT=$(component) \
		$(target)/differential/bin/python tests/clients/run.py

differential: component demo oracle ## compare with MapProxy: CORPUS=directory of configurations, REQUESTS=2000, MOST=20
	cargo build --bins --tests
	MAPPROXY_COMPONENT=$(component) $(target)/differential/bin/python tests/differential/run.py --mapproxy $(target)/debug/mapproxy \
		--requests $(or $(REQUESTS),2000) --most $(or $(MOST),20) --report $(target)/differential.txt $(or $(CORPUS),guest/core/testdata/config)

endurance: component data ## kill a seed twenty times, seed a million tiles, ten minutes of mixed load
	cargo build --bins --tests
	$(test_env) $(target)/debug/seed-endurance kills
	$(test_env) $(target)/debug/seed-endurance growth
	$(test_env) $(target)/debug/load-endurance

bench: demo target ## measure the steps of a request, natively and inside WebAssembly
	cargo bench -p mapproxy-bench
	@command -v wasmtime > /dev/null || cargo install wasmtime-cli --version '^48' --locked
	CARGO_TARGET_WASM32_WASIP2_RUNNER='wasmtime run --dir .' cargo bench -p mapproxy-bench --target wasm32-wasip2

test-hosts: component demo data ## run the component in the real `wasmtime` command too
	@command -v wasmtime > /dev/null || cargo install wasmtime-cli --version '^48' --locked
	@$(call with_tool,curl,curl)
	cargo build -p mapproxy-host -p mapproxy-tests --bins
	MAPPROXY_BIN=$(target)/debug/mapproxy SAMPLE_WMS_BIN=$(target)/debug/sample-wms tests/hosts.sh $(component)

screenshots: release data ## make the pictures of the documentation
	@$(call with_tool,chromium,chromium)
	cargo build -p mapproxy-tests --bins
	MAPPROXY_BIN=$(target)/release/mapproxy SAMPLE_WMS_BIN=$(target)/debug/sample-wms docs/screenshots.sh

component: demo target ## build mapproxy.wasm
	cargo build -p mapproxy-guest --profile component --target wasm32-wasip2

# a component that misbehaves, for the tests of the host
hostile: target
	cargo build -p mapproxy-hostile --profile component --target wasm32-wasip2

demo: $(demo)/dist/demo.js ## bundle the demo page's JavaScript and style

$(demo)/dist/demo.js: $(wildcard $(demo)/src/* $(demo)/*.json $(demo)/build.mjs)
	@$(call with_tool,npm,nodejs npm)
	cd $(demo) && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

data: ## fetch the data of the sample WMS and the OGC schemas
	@$(call with_tool,npm,nodejs npm)
	@$(call with_tool,python3,python3)
	@python3 -m pip --version > /dev/null 2>&1 || { $(call with_tool,pip3,python3-pip); }
	tests/fetch-data.sh

# what tests call
tools: clients
	@$(call with_tool,xmllint,libxml2-utils)
	@$(call with_tool,nginx,nginx-light)
	@$(call with_tool,lighttpd,lighttpd)
	@$(call with_tool,chromium,chromium)
	@$(call with_tool,gdal_translate,gdal-bin)
	@test -e /usr/lib/apache2/modules/mod_fcgid.so || { $(call with_tool,mod_fcgid,apache2 libapache2-mod-fcgid); }

# MapProxy itself
oracle:
	@$(call with_tool,python3,python3)
	@test -x $(target)/differential/bin/python || { python3 -m venv $(target)/differential || { $(call with_tool,venv,python3-venv); python3 -m venv $(target)/differential; }; }
	@$(target)/differential/bin/pip install --quiet -r tests/differential/requirements.txt

# map libraries and OWSLib, for tests/tests/clients.rs
clients: tests/clients/node_modules/complete tests/clients/python/complete

tests/clients/node_modules/complete: tests/clients/package-lock.json
	@$(call with_tool,npm,nodejs npm)
	cd tests/clients && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

tests/clients/python/complete: tests/clients/requirements.txt
	@python3 -m pip --version > /dev/null 2>&1 || { $(call with_tool,pip3,python3-pip); }
	rm -rf $(@D)
	python3 -m pip install --quiet --no-deps --only-binary :all: --disable-pip-version-check --root-user-action ignore \
		--target $(@D) -r $<
	@touch $@

target:
	@rustup target list --installed 2> /dev/null | grep -q wasm32-wasip2 || rustup target add wasm32-wasip2

clean: ## remove built files and fetched data
	cargo clean
	rm -rf $(demo)/dist $(demo)/node_modules tests/node_modules tests/data tests/clients/node_modules tests/clients/python var

.PHONY: help run test test-nextest test-cargo test-clients release profile dist test-deb lint fuzz differential endurance bench test-hosts screenshots component demo data tools clients oracle target hostile clean
