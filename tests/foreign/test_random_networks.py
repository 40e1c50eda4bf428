"""Random networks are right, whatever stands beside what: scores and states against onnxruntime.

TSM_ABUSE_NETWORKS says how many (`make abuse` sets it); the seed of a network is its number.
"""

from __future__ import annotations

import os
from pathlib import Path

import foreign_lab
import random_networks

COUNT = int(os.environ.get("TSM_ABUSE_NETWORKS", "12"))


def test_random_networks_are_right(tmp_path: Path) -> None:
    verdicts = foreign_lab.judge([random_networks.network(seed) for seed in range(COUNT)], tmp_path)
    assert len(verdicts) == COUNT
    wrong = {name: found for name, found in verdicts.items() if found.kind not in ("scheduled", "generic")}
    assert wrong == {}
