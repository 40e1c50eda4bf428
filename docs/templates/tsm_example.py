"""A template: TSM on a ResNet with one block a stage.

Copy it to tsm_edge/models/; the file tsm_x.py is the model tsm-x. The description is all there is to write: the PyTorch
network, its states, its signature and what is compiled are derived from it.
"""

from __future__ import annotations

from ._foreign_keys import resnet_keys
from ._model import Recipe
from ._resnet import basic, resnet
from .description import Layer


def describe(classes: int) -> tuple[Layer, ...]:
    """List the layers."""
    return resnet(basic, (1, 1, 1, 1), classes)


MODEL = Recipe(
    "ResNet-10 with an online temporal shift in every residual branch; 4 states", describe, resnet_keys
)
