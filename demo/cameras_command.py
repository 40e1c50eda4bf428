"""``tsm-edge cameras``: which cameras this machine has, and what to type for each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tsm_edge.report import print_json, print_next, print_table
from tsm_edge.terminal import say

from .command import require_opencv

if TYPE_CHECKING:
    from .sources.csi import Route
    from .sources.listing import Camera, Cameras
    from .sources.v4l2 import Mode


@click.command(short_help="List the cameras of this machine and what to type for each.")
@click.option("--modes", is_flag=True, help="List every format, size and rate of each camera.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def cameras(modes: bool, as_json: bool) -> None:
    """List the cameras of this machine: name, driver, modes, and what to type for each.

    Video devices say themselves what they can do. For a camera module on a ribbon cable it is also said by which way
    it can be read here, and what installs that way.
    """
    require_opencv()
    from .sources.listing import find

    found = find()
    if as_json:
        print_json(_document(found))
        return
    everything = [*found.devices, *found.modules]
    if everything:
        print_table(("input", "name", "driver", "best mode"), [_row(camera) for camera in everything])
    else:
        none = ": no /dev/video* device that delivers pictures, and no camera module"
        say("no camera was found" + ("" if found.module_seen else none))
    for camera in everything:
        _details(camera, modes)
    _say_routes(found)
    usable = [camera for camera in everything if not camera.trouble]
    if usable:
        print_next("tsm-edge demo --input {}", usable[0].input)


def _row(camera: Camera) -> tuple[str, str, str, str]:
    best = max(camera.modes, key=_worth, default=None)
    return camera.input, camera.name or "(no name)", camera.driver or "-", _mode(best) if best else "-"


def _worth(mode: Mode) -> tuple[bool, int, float]:
    """What suits a model whose input is small: 640x480 or the next, as fast as it goes."""
    fits = mode.width >= 640 and mode.height >= 480
    pixels = mode.width * mode.height
    return fits, -pixels if fits else pixels, max(mode.rates, default=0.0)


def _mode(mode: Mode) -> str:
    rates = ", ".join(f"{rate:g}" for rate in mode.rates)
    return f"{mode.format} {mode.width}x{mode.height}" + (f" at {rates}" if rates else "")


def _details(camera: Camera, modes: bool) -> None:
    lines = [f"also {link}" for link in camera.links]
    lines += [camera.trouble] if camera.trouble else []
    lines += [_mode(mode) for mode in camera.modes] if modes else []
    for line in lines:
        say(f"{camera.input}: {line}")


def _say_routes(found: Cameras) -> None:
    """Say by which way a camera module can be read, where there may be one, and how to install one."""
    there = [route for route in found.routes if route.there]
    if there and (found.module_seen or found.modules):
        say(f"camera modules are read by {there[0].name}" + ("" if found.modules else "; it sees none"))
    elif found.module_seen:
        say("a camera module may be there, but nothing can read it: " + _install(found.routes))


def _install(routes: list[Route]) -> str:
    return "; or ".join(f"{route.name} is missing ({route.install})" for route in routes)


def _document(found: Cameras) -> dict[str, object]:
    return {
        "cameras": [asdict(camera) for camera in [*found.devices, *found.modules]],
        "module_seen": found.module_seen,
        "routes": [route._asdict() for route in found.routes],
    }
