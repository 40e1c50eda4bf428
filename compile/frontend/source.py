"""The network that a command line of `tsm-edge compile` names, with the options that only one kind of source has.

Importing it loads neither torch nor TVM, so that a wrong option is refused at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsm_edge.commands import form_options
from tsm_edge.commands.family_options import network_from
from tsm_edge.commands.model_options import NetworkOptions
from tsm_edge.errors import UsageError
from tsm_edge.models import Model, clips, read_labels, shipped_ranges

from . import picture_options

if TYPE_CHECKING:
    from ..pipeline import Network

Options = dict[str, Any]  # values of click, by option
#: options of a zoo model, which an ONNX file decides by itself
OF_ZOO = ("width", "size", "classes", "ema", "direction", "as-online", *form_options.NAMES)


@dataclass(frozen=True)
class Source:
    """MODEL and its options.

    parameters: width, size, classes and labels. pictures, form: by the NAMES of `picture_options`, `form_options`.
    """

    model: str
    weights: Path | None
    averaged: bool | None
    direction: str | None
    as_online: bool
    seed: int
    states: tuple[tuple[str, str], ...]
    parameters: NetworkOptions
    pictures: Options
    form: Options

    @classmethod
    def of(cls, model: str, options: Options) -> Source:
        """From the options by name; those of the model's shape are what the other fields leave."""
        left = dict(options)
        pictures = {name: left.pop(name) for name in picture_options.NAMES}
        form = {name: left.pop(name) for name in form_options.NAMES}
        own = {name: left.pop(name) for name in ("weights", "averaged", "direction", "as_online", "seed", "states")}
        width, size, classes, labels = (left.pop(name) for name in ("width", "size", "classes", "labels"))
        parameters = NetworkOptions(width=width, size=size, classes=classes, labels=labels)
        return cls(model, **own, parameters=parameters, pictures=pictures, form=form)

    @property
    def shipped_ranges(self) -> Path | None:
        """The ranges that come with MODEL's own weights."""
        return None if self.is_file or self.weights is not None else shipped_ranges(self.model)

    @property
    def is_file(self) -> bool:
        """Whether MODEL is an ONNX file."""
        return self.model.endswith(".onnx")

    @property
    def file(self) -> Path | None:
        """The file that holds the weights, if one was named."""
        return Path(self.model) if self.is_file else self.weights

    def check(self) -> None:
        """UsageError for an option that this kind of source does not have; none is ignored in silence."""
        if self.seed and (self.weights is not None or self.is_file):
            raise UsageError(
                "--seed is for untrained weights.", found=self.weights or self.model, allowed="one of both"
            )
        if not self.is_file:
            if self.states:
                raise UsageError(
                    "--state is for ONNX files; a model of the zoo knows its states.", found=self.model
                )
            for option in (name for name, value in self.pictures.items() if value is not None):
                raise UsageError(
                    f"--{option} is for ONNX files; a model of the zoo knows how its pictures are prepared.",
                    found=self.model,
                )
            return
        given = {
            **self.parameters,
            **self.form,
            "ema": self.averaged,
            "direction": self.direction,
            "as-online": self.as_online or None,
        }
        for option in OF_ZOO:
            if given[option] is not None:
                raise UsageError(
                    f"--{option.replace('_', '-')} is for models of the zoo; an ONNX file has its own.",
                    found=self.model,
                )
        if self.weights is not None:
            raise UsageError(
                "--weights is for models of the zoo; an ONNX file holds its own.", found=self.model
            )

    def described(self) -> tuple[Model | clips.ClipModel, bool]:
        """The model of the zoo or of the family, and whether its weights are reordered to the online form."""
        form = form_options.Asked(**self.form)
        return network_from(
            self.model, self.weights, self.averaged, self.direction, self.as_online, form, self.parameters
        )

    def network(self, described: tuple[Model | clips.ClipModel, bool] | None) -> Network:
        """The network; loads torch and TVM. described: of a zoo model."""
        from . import networks, preprocessing

        if described is not None:
            model, reorder = described
            return networks.zoo(model, self.weights, self.seed, self.averaged, reorder)
        file = self.parameters["labels"]
        labels = None if file is None else read_labels(file)
        return networks.onnx_file(Path(self.model), self.states, labels, preprocessing.PictureOptions(**self.pictures))
