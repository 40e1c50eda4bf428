"""What a training is measured on after every epoch, prepared once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import measure, takes
from .network import Trainable
from .settings import Settings
from .store import Store

if TYPE_CHECKING:
    import torch


class Examined:
    """The clips of one held-out store: of clips as many frames as the training looks at, of takes all."""

    def __init__(self, store: Store, model: Trainable, settings: Settings) -> None:
        self.store, self._model, self._variant = store, model, settings.variant
        look = measure.Look() if store.takes else measure.Look(settings.frames, settings.way)
        self._seen = measure.prepared(store, model.preprocess, look)

    def scored(self, net: torch.nn.Module) -> takes.Scored:
        """Scores of the clips, and of the gestures within takes, with what they should be."""
        rows = measure.clip_scores(net, self._model, self._seen, self._variant)
        return takes.Scored(self.store, rows)
