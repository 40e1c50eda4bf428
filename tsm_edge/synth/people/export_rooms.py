"""Write rooms.npz: panoramas and their light. For developers; run once.

    python -m tsm_edge.synth.people.export_rooms FOLDER_OF_EXR_JS OUT.npz

The folder is ``hdri`` of npm's ``@pmndrs/assets``: eighteen panoramas of Poly Haven, CC0-1.0, 512 x 256, as base64 of
OpenEXR files; it takes PyPI's ``OpenEXR`` to read them.
"""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_QUALITY, _LIGHT = 90, (32, 16)  # of JPEG; width and height of the light


def main(folder: Path, out: Path) -> None:
    """Export the panoramas."""
    import cv2

    names, pictures, lights = [], [], []
    for path in sorted(folder.glob("*.exr.js")):
        panorama = _read(path)
        ambient = float(np.percentile(panorama.mean(2), 60))
        light = cv2.resize(panorama, _LIGHT, interpolation=cv2.INTER_AREA)
        exposed = 0.35 * panorama / ambient
        shown = (255 * np.clip(exposed / (1 + 0.5 * exposed), 0, 1) ** (1 / 2.2)).astype(np.uint8)
        done, data = cv2.imencode(".jpg", shown[:, :, ::-1], (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
        assert done
        names.append(path.name.partition(".")[0])
        pictures.append(data.ravel())
        lights.append(np.minimum(light / light.mean(), 6e4).astype(np.float16))
    np.savez_compressed(
        out,
        names=np.array(names),
        ends=np.cumsum([len(data) for data in pictures]),
        pictures=np.concatenate(pictures),
        lights=np.array(lights),
    )


def _read(path: Path) -> NDArray[np.float32]:
    import OpenEXR

    from ...files.temporaries import scratch

    found = re.search(r"base64,([A-Za-z0-9+/=]+)", path.read_text())
    assert found, path
    with scratch() as folder:
        (folder / "panorama.exr").write_bytes(base64.b64decode(found[1]))
        with OpenEXR.File(str(folder / "panorama.exr")) as file:
            return np.asarray(file.channels()["RGB"].pixels, np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
