"""A bundle's own command, `tsm-edge-run`: on this machine, or under the emulator that its target names.

Whatever needs the outputs of a bundle for another processor goes through here: `tsm-edge verify` and `tsm-edge eval`.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import target
from ..bundle.manifest import Manifest
from ..errors import DeviceError, RuntimeFailure, ToolMissing
from ..processes import children
from . import abi


def runs_here(manifest: Manifest) -> bool:
    """Whether the bundle's machine code is this processor's kind."""
    return manifest.target.arch == platform.machine()


def runner(folder: Path, manifest: Manifest) -> tuple[list[str], str]:
    """The command that runs the bundle here, and in words where that is.

    Raises:
        ToolMissing: it is for another processor, and the emulator or its C library is not installed.
    """
    program = str(folder.resolve() / "tsm-edge-run")
    if runs_here(manifest):
        return [program], "this machine"
    emulator = target.load(manifest.target.name).emulator
    if emulator is None:
        raise ToolMissing(
            f"No emulator is known for target '{manifest.target.name}'.",
            found=platform.machine(),
            hint=f"verify it on a machine of type {manifest.target.arch}",
        )
    path = shutil.which(emulator.program) or shutil.which(f"{emulator.program}-static")
    if path is None:
        raise ToolMissing(
            f"The emulator '{emulator.program}' is not installed.",
            found="not on PATH",
            hint=f"apt install {emulator.package}",
        )
    command = [path, "-cpu", emulator.cpu]
    if emulator.sysroot and manifest.target.link == "shared":
        if not Path(emulator.sysroot).is_dir():
            raise ToolMissing(
                f"The C library for {manifest.target.arch} is not installed.",
                found=f"no {emulator.sysroot}",
                hint=f"apt install {emulator.sysroot_package}",
            )
        command += ["-L", emulator.sysroot]
    return [*command, program], f"{emulator.program}, {emulator.cpu}"


def dump(
    command: list[str], words: Iterable[str], frames: Iterable[np.ndarray], floats: int
) -> NDArray[np.float32]:
    """Feed frames from empty states; return what each left, float32 [frames, floats]: scores, then every state.

    words: how to read the frames, `--tensor` or `--raw WxH --format rgb`. floats: of the scores and states together.

    Raises:
        DeviceError: there is no driver or device that can run it.
        RuntimeFailure: the command failed otherwise, or its answer has another size.
    """
    parts = [frame.tobytes() for frame in frames]
    done = children.run([*command, *words, "--dump"], input=b"".join(parts))
    if done.returncode == DeviceError.exit_code:  # the command's own words say what is wrong with the device
        raise abi.error_from(DeviceError, done.stderr.rpartition(b"tsm-edge-run: ")[2])
    if done.returncode:
        raise RuntimeFailure(
            "The bundle does not run.",
            found=done.stderr.decode(errors="replace").strip()[-800:] or f"exit {done.returncode}",
        )
    if len(done.stdout) != len(parts) * floats * 4:
        raise RuntimeFailure(
            "The bundle answered with another number of values.",
            found=len(done.stdout) // 4,
            allowed=len(parts) * floats,
        )
    return np.frombuffer(done.stdout, np.float32).reshape(len(parts), floats)
