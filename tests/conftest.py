"""Shared by all tests. The folders are sorted by what they need; the README of tests/ is this list:

pure: numpy and click · models: torch · compile: tvm · runtime: a C compiler · emulated: qemu · demo: OpenCV.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

import tsm_edge

PACKAGE = Path(tsm_edge.__file__).resolve().parent


def pytest_report_header(config: pytest.Config) -> str:
    """Say which tsm_edge is tested: the wheel, or the checkout."""
    return f"tsm_edge {tsm_edge.__version__} from {PACKAGE}"


def pytest_configure(config: pytest.Config) -> None:
    """`make test` promises to test the wheel; then nothing else will do."""
    installed = Path(sysconfig.get_paths()["purelib"]).resolve()
    if os.environ.get("TSM_EDGE_TEST_WHEEL") and installed not in PACKAGE.parents:
        raise pytest.UsageError(f"the wheel is not what would be tested: {PACKAGE}")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that these tests belong to."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def local_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle for this machine: tsm-mobilenetv2 at width 0.5 and 128 pixels with seeded weights."""
    pytest.importorskip("tvm", reason="compiling needs the extra 'compile'")
    from tsm_edge import models, target
    from tsm_edge.compile import pipeline
    from tsm_edge.compile.frontend import networks

    network = networks.zoo(models.load("tsm-mobilenetv2", width=0.5, size=128))
    return pipeline.compile(network, target.load("local"), tmp_path_factory.mktemp("local") / "bundle").folder


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of caches for tests that use the default bundle; not the user's."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def shipped(cache_home: Path) -> Path:
    """The bundle that the demo makes of the shipped model, compiled once for all tests that watch clips."""
    pytest.importorskip("tvm", reason="compiling needs the extra 'compile'")
    from tsm_edge.demo.default_bundle import default_bundle

    return default_bundle(environ={"XDG_CACHE_HOME": str(cache_home)})
