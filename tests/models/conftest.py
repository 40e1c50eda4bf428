"""Shared by the tests of the networks: small built models, made once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tsm_edge import models

SMALL = 64  # pixels: every stage still sees more than one position, and a step takes milliseconds


@functools.cache
def _built(name: str, size: int, seed: int) -> tuple[models.Model, Any]:
    model = models.load(name, size=size, classes=5)
    return model, model.build(seed)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The nets are small: on a shared machine a second thread costs more than it brings."""
    try:
        import torch
    except ImportError:
        return  # the catalogue is tested without torch
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def built() -> Callable[..., tuple[models.Model, Any]]:
    """Return built(name, size=64, seed=0) -> (model of 5 classes, its net); do not change the net."""
    return lambda name, size=SMALL, seed=0: _built(name, size, seed)


#: ResNet-101 is the blocks of ResNet-50 once more; tests/models/test_plain.py has it
_QUICK = [name for name in models.names() if name != "tsm-resnet101"]


@pytest.fixture(params=_QUICK)
def name(request: pytest.FixtureRequest) -> str:
    """The models' names in turn, without the one that takes as long as all others."""
    return str(request.param)
