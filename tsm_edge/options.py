"""Types of command line options that click does not have."""

from __future__ import annotations

import math
import os
from pathlib import Path

import click


class NamedPath(click.Path):
    """A path, but not the empty text that an unset variable of a shell leaves and that would mean this folder."""

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, exists=exists, file_okay=file_okay, dir_okay=dir_okay)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path; a usage error for the empty text."""
        if value == "":
            self.fail("it is empty; is a variable of the shell not set?", param, ctx)
        return super().convert(value, param, ctx)


class FiniteRange(click.FloatRange):
    """A range of numbers without NaN, which is neither below nor above any limit, and without infinity."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; a usage error for what is none or lies outside."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a number{self._within()}.", param, ctx)
        return number

    def _within(self) -> str:
        return f" in the range {self._describe_range()}" if (self.min, self.max) != (None, None) else ""
