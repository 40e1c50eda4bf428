"""Files that others wrote: no more of one is read than a stated limit, and no larger picture is decoded.

The limits are far above what real files have; they keep a damaged or hostile one, or a device node given by mistake,
from taking all memory. JSON has limits of its own (:mod:`tsm_edge.files.strict_json`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIB = 1 << 20
#: pixels of a picture or of a video's frame: 8192 x 8192
MAX_PIXELS = 1 << 26
_OPENCV_LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``most`` bytes.
    """
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"larger than {most} bytes")
    return data


def read_text(path: str | os.PathLike[str], most: int, encoding: str = "utf-8") -> str:
    """Return the text of a file, lines ended by "\\n"; also raises ValueError when it is not of this encoding."""
    return read_bytes(path, most).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def limit_pictures() -> None:
    """Let OpenCV refuse pictures beyond MAX_PIXELS; works until cv2 is imported. A limit that the user set stays."""
    os.environ.setdefault(_OPENCV_LIMIT, str(MAX_PIXELS))


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8] | None:
    """Return a picture, uint8 [height, width, 3] BGR; None when it is no picture or too large (see limit_pictures)."""
    import cv2
    import numpy as np

    try:
        image: NDArray[np.uint8] | None = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR)
    except cv2.error:  # where the head of the file declares too many pixels
        return None
    return None if image is None else np.asarray(image, np.uint8)
