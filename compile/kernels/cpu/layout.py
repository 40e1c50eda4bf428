"""Memory layouts of an image on a CPU: NHWC, or NCHWc (blocks of channels, `passes/block_channels.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from .builder import Expr


@dataclass(frozen=True)
class Layout:
    """A layout: element = pixel * pixel_step + channel * channel_step + first."""

    pixel_step: Expr
    channel_step: Expr
    first: Expr = 0  # of a frame in its clip

    @classmethod
    def by_pixel(cls, channels: int) -> Layout:
        """NHWC: the channels of a pixel are contiguous."""
        return cls(channels, 1)

    @classmethod
    def by_block(cls, pixels: Expr, lanes: int) -> Layout:
        """NCHWc with c = `lanes`: blocks of channels, all pixels of a block together; channels are whole blocks.

        Vectors of adjacent pixels are adjacent, so NEON loads and stores two with one instruction.
        """
        return cls(lanes, pixels)

    def at(self, pixel: Expr, channel: Expr) -> Expr:
        """The element of a pixel's channel."""
        return pixel * self.pixel_step + channel * self.channel_step + self.first


def blocked(channel_step: Expr) -> bool:
    """Whether a channel step belongs to blocks of channels."""
    return not (isinstance(channel_step, int) and channel_step == 1)
