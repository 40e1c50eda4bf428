# make demo    compile the default bundle and run it on a clip; writes out/demo.mp4
# make test    everything that CI checks: the installed wheel against ruff, mypy and pytest
# make golden  writes tests/compile/golden/ anew: what the compiler makes of fixed networks on fixed targets
# make abuse   the long forms of tests/abuse: fuzzing, mutated manifests, full disks, kills, soak,
#              random networks; hours, docs/reliability.md has the figures
# make lint    ruff and mypy alone
# make docs    the pages of docs/ as a site: out/site/index.html
# make bench   the side-by-side measurements; JSON files in out/
#
# All of it happens in .venv, with the exact versions of constraints.txt. The stamps below say what is done already,
# so a second call only does what has changed.

PYTHON ?= python3
VENV   ?= .venv
CLIP   ?= demo/data/gestures.mp4

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
SOURCES := $(shell find tsm_edge compile demo targets -type f -not -name '*.pyc')
EMULATOR_PACKAGES := qemu-user qemu-user-static libc6-arm64-cross libc6-armhf-cross pocl-opencl-icd ocl-icd-libopencl1 \
  opencl-c-headers llvm-19 clang-19 libclang-rt-19-dev jq
STREAM_PACKAGES := gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad libgstrtspserver-1.0-0 \
  python3-opencv

# a process that crashes is not replaced: pytest-xdist would wait for ever for the last test of the new one
TEST_PROCESSES := -n auto --maxprocesses 4 --dist loadfile --max-worker-restart 0

FUZZ_TARGETS := manifest bundle resample image_step api command jpeg
FUZZ_RUNS ?= 1000000
DISK_PROGRAMS := full_disk kill readers

.PHONY: demo test golden abuse lint docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/wheel.stamp
	mkdir -p out
	$(BIN)/tsm-edge demo --video $(CLIP) --headless --record out/demo.mp4
	@echo "next: look at out/demo.mp4, or run $(BIN)/tsm-edge demo with a camera"

# Run from tests/, so that the checkout is not on Python's path: what is tested is the installed wheel. Files are spread
# over two processes at least; more than four need much memory, since each holds a compiler.
test: lint $(VENV)/emulators.stamp $(VENV)/browser.stamp $(VENV)/broker.stamp $(VENV)/streams.stamp
# NVRTC ended a process in which thousands of other tests had run, so its kernels are tested in one of their own, first
	cd tests && TSM_EDGE_TEST_WHEEL=1 $(abspath $(BIN))/pytest -q -rs compile/test_ptx.py
	cd tests && TSM_EDGE_TEST_WHEEL=1 $(abspath $(BIN))/pytest -q -rs $(TEST_PROCESSES) --ignore compile/test_ptx.py $(PYTEST_ARGS)

# For a change that is meant to generate other code; its commit shows what that gains.
golden: $(VENV)/test.stamp
	cd tests && $(abspath $(BIN))/python helpers/golden_lab.py

# Each program goes on from what the last run kept in out/fuzz, and leaves an input that ends it beside that.
abuse: $(VENV)/test.stamp $(VENV)/emulators.stamp
	for target in $(FUZZ_TARGETS); do \
	  $(BIN)/python tests/helpers/fuzz_lab.py $$target $(FUZZ_RUNS) --corpus out/fuzz/$$target || exit 1; done
	cd tests && TSM_ABUSE_MANIFESTS=200000 $(abspath $(BIN))/pytest -q abuse/test_manifest_readers.py
	cd tests && TSM_ABUSE_FILES=20000 $(abspath $(BIN))/pytest -q abuse/test_foreign_files.py
	cd tests && TSM_ABUSE_NETWORKS=1000 $(abspath $(BIN))/pytest -q foreign/test_random_networks.py
	cd tests && for program in $(DISK_PROGRAMS); do $(abspath $(BIN))/python abuse/$$program.py --long || exit 1; done
	cd tests && TSM_ABUSE_STEPS=1000000 $(abspath $(BIN))/pytest -q -s abuse/test_soak.py

# mypy reads the installed wheel: in the checkout three of its packages stand elsewhere (see pyproject.toml).
lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	cd tests && $(abspath $(BIN))/mypy --cache-dir ../.mypy_cache --config-file ../pyproject.toml -p tsm_edge

docs: $(VENV)/test.stamp
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs out/site
	@echo "next: open out/site/index.html"

bench: $(VENV)/bench.stamp $(VENV)/emulators.stamp
	mkdir -p out
	$(BIN)/python benchmarks/table.py --documents out --output out/table.json
	$(BIN)/python benchmarks/ptx_kernels.py --output out/ptx_kernels.json

$(VENV)/torch.stamp: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools
	$(PIP) torch
	touch $@

# A build folder that is left over would put removed files into the wheel.
$(VENV)/wheel.stamp: $(VENV)/torch.stamp pyproject.toml README.md LICENSE $(SOURCES)
	rm -rf build tsm_edge.egg-info
	$(BIN)/python -m pip wheel --disable-pip-version-check -q --no-deps --no-build-isolation -w build/wheel .
	$(PIP) "$$(ls build/wheel/*.whl)[compile]"
	$(PIP) --force-reinstall --no-deps build/wheel/*.whl
	touch $@

$(VENV)/test.stamp: $(VENV)/wheel.stamp
	$(PIP) "$$(ls build/wheel/*.whl)[bench,cuda,docs,mqtt,serve,test,train]"
	touch $@

$(VENV)/bench.stamp: $(VENV)/wheel.stamp
	$(PIP) "$$(ls build/wheel/*.whl)[bench,cuda]"
	touch $@

# The tests that run ARM programs or OpenCL (PoCL runs it on the CPU) say why they are skipped where that is missing.
$(VENV)/emulators.stamp: $(VENV)/torch.stamp
	@if command -v qemu-aarch64 >/dev/null && command -v qemu-arm >/dev/null \
	  && command -v qemu-aarch64-static >/dev/null \
	  && [ -d /usr/aarch64-linux-gnu ] && [ -d /usr/arm-linux-gnueabihf ] && [ -e /etc/OpenCL/vendors/pocl.icd ] \
	  && command -v llvm-mca-19 >/dev/null && command -v clang-19 >/dev/null && command -v jq >/dev/null \
	  && [ -e /usr/include/CL/cl.h ]; \
	then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(EMULATOR_PACKAGES) >/dev/null \
	  && touch $@; \
	else echo "tests will be skipped or shortened; they need: $(EMULATOR_PACKAGES)" >&2; fi

# The live page of the demo is tested in a browser.
$(VENV)/browser.stamp: $(VENV)/torch.stamp
	@if command -v chromium >/dev/null || command -v google-chrome >/dev/null; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium \
	  >/dev/null && touch $@; \
	else echo "the tests of the live page will be skipped; they need: chromium" >&2; fi

# Events are published at a real broker.
$(VENV)/broker.stamp: $(VENV)/torch.stamp
	@if command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ]; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mosquitto \
	  >/dev/null && touch $@; \
	else echo "the tests of --mqtt will be skipped; they need: mosquitto" >&2; fi

# Pipelines and network cameras are tested against GStreamer, its RTSP server, and an OpenCV that has GStreamer.
$(VENV)/streams.stamp: $(VENV)/torch.stamp
	@if command -v gst-launch-1.0 >/dev/null && ldconfig -p | grep -q libgstrtspserver-1.0.so.0 \
	  && /usr/bin/python3 -c "import cv2" 2>/dev/null; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	  $(STREAM_PACKAGES) >/dev/null && touch $@; \
	else echo "tests of streams will be skipped; they need: $(STREAM_PACKAGES)" >&2; fi

clean:
	rm -rf $(VENV) build out tsm_edge.egg-info
