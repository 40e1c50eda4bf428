"""Real photographs that install with Python packages, as backgrounds and surfaces.

None is shipped or copied: a picture is read from the package that holds it, when that package is installed (extra
``train``). Licences as their packages state them:

scikit-image (``skimage/data``): astronaut, NASA, public domain; brick, grass, gravel, CC0Textures, CC0; camera, Lav
Varshney, CC0; chelsea, Stefan van der Walt, CC0; coffee, Rachel Michetti, CC0; coins, Brooklyn Museum Collection, no
known copyright restrictions; hubble_deep_field, NASA, public domain; motorcycle_left, Middlebury 2014 stereo data,
CC0; retina, Häggström, CC0; rocket, SpaceX, public domain. scikit-learn (``sklearn/datasets/images``): china and
flower, CC BY 2.0 and 3.0, named in the folder's README.txt.
"""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
#: a photograph is reduced to this short side once; a clip shows a part of it
SHORT_SIDE = 240


def available(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of ``names`` whose package is installed here, in the same order."""
    return tuple(name for name in names if _path(name) is not None)


@lru_cache(maxsize=32)
def load(name: str) -> NDArray[np.uint8]:
    """Return a photograph, uint8 [H, W, 3] RGB with a short side of ``SHORT_SIDE``; it must be available."""
    import cv2

    image = cv2.imread(str(_path(name)), cv2.IMREAD_COLOR)
    factor = SHORT_SIDE / min(image.shape[:2])
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[:, :, ::-1])


@cache
def _path(name: str) -> Path | None:
    for package, folder in _FOLDERS.items():
        spec = importlib.util.find_spec(package)
        for root in spec.submodule_search_locations or () if spec else ():
            found = sorted((Path(root) / folder).glob(f"{name}.*"))
            if found:
                return found[0]
    return None
