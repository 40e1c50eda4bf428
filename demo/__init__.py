"""tsm_edge.demo: the live demo over a camera, a video file or a folder of images.

It needs a bundle, numpy and OpenCV, never the compiler; ``command.py`` is the command line, ``loop.py`` the
loop.
"""

from __future__ import annotations

from pathlib import Path

#: A short clip recorded by a camera, shipped with the package (see data/README.md for where it comes from).
SAMPLE_CLIP = Path(__file__).parent / "data" / "movement.mp4"
