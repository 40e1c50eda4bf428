"""Which cameras this machine has, and what to type for each: video devices, camera modules, and the ways to those."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tsm_edge.processes import children

from . import csi, v4l2
from .camera import camera_devices, permission_hint

#: drivers of receivers on a board, whose devices give raw data of a sensor and no pictures
RECEIVERS = ("unicam", "bcm2835-unicam", "rp1-cfe", "tegra-video", "rkisp1", "imx7-csi", "sun6i-csi")
#: drivers that scale and code and belong to no camera
_HELPERS = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc-dec", "rpivid", "hantro-vpu", "rga")
_LINKS = ("/dev/v4l/by-id", "/dev/v4l/by-path")
_LISTERS = ("rpicam-hello", "libcamera-hello")
_MODULE = re.compile(r"^\s*([0-9]{1,3}) : (\S+)(?: \[([^\]\n]{0,80})\])?", re.MULTILINE)


@dataclass(frozen=True)
class Camera:
    """A camera. ``input`` is what ``--input`` is given; ``trouble`` why it cannot be used as it is."""

    input: str
    name: str
    driver: str = ""
    links: tuple[str, ...] = ()
    modes: tuple[v4l2.Mode, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Cameras:
    """All that was found. ``module_seen``: a receiver of camera modules is there, whatever can read it."""

    devices: list[Camera]
    modules: list[Camera]
    module_seen: bool
    routes: list[csi.Route]


def find() -> Cameras:
    """Look for all cameras."""
    devices = [_device(path) for path in camera_devices()]
    modules = list(_modules())
    return Cameras(
        [camera for camera in devices if camera is not None and camera.input],
        modules,
        None in devices or bool(modules) or csi.has_l4t(),
        csi.routes(),
    )


def _device(path: str) -> Camera | None:
    """Return the camera of a device; None for one of a receiver, and one without ``input`` for what is no camera."""
    links = tuple(sorted(_links(path)))
    try:
        device = v4l2.query(path)
    except PermissionError:
        return Camera(path, _name(path), links=links, trouble="no permission to open it: " + permission_hint())
    except OSError as error:
        return Camera(path, _name(path), links=links, trouble=error.strerror or str(error))
    if device.driver in RECEIVERS:
        return None
    if device.driver in _HELPERS or not device.captures:
        return Camera("", device.card)
    number = path.removeprefix("/dev/video")
    trouble = "" if device.modes else "it lists no formats"
    return Camera(number, device.card, device.driver, links, device.modes, trouble)


def _name(path: str) -> str:
    try:
        return Path("/sys/class/video4linux", Path(path).name, "name").read_text(errors="replace").strip()
    except OSError:
        return ""


def _links(path: str) -> Iterable[str]:
    """Names that stay the same when the camera is plugged in elsewhere."""
    for folder in _LINKS:
        names = os.listdir(folder) if os.path.isdir(folder) else []
        for name in names:
            if os.path.realpath(f"{folder}/{name}") == os.path.realpath(path):
                yield f"{folder}/{name}"


def _modules() -> Iterable[Camera]:
    """Camera modules, as libcamera lists them."""
    for program in _LISTERS:
        if shutil.which(program) is None:
            continue
        done = children.run([program, "--list-cameras"])
        text = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
        for number, model, size in _MODULE.findall(text):
            yield Camera(f"csi://{number}", f"{model} {size}".strip(), "libcamera")
        return
    yield from _by_picamera2()


def _by_picamera2() -> Iterable[Camera]:
    try:
        module = importlib.import_module("picamera2")
        infos = module.Picamera2.global_camera_info()
    except Exception:  # not installed, or libcamera itself fails
        return
    for info in infos:
        yield Camera(f"csi://{info.get('Num', 0)}", str(info.get("Model", "")), "libcamera")

