"""Shared by the tests of the compiler."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The reference networks are small: on a shared machine a second thread costs more than it brings."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
