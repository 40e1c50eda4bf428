"""`tsm-edge cameras`: devices that answer as drivers do, camera modules, and what is missing to read one."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import struct
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tsm_edge import cli
from tsm_edge.demo.sources import camera, csi, listing, v4l2

#: driver -> name, capabilities, and its formats with sizes and rates
WEBCAM = ("uvcvideo", "HD Webcam: HD", 0x04200001, {
    "YUYV": {(640, 480): [(1, 30), (1, 15)], (1280, 720): [(1, 10)]},
    "MJPG": {(640, 480): [(1, 30)], (1920, 1080): [(1001, 30000)]},
})  # fmt: skip
METADATA = ("uvcvideo", "HD Webcam: HD", 0x04A00000, {})
MODULE = ("unicam", "unicam-image", 0x04200001, {"RG10": {(3280, 2464): []}})
CODEC = ("bcm2835-codec", "bcm2835-codec-decode", 0x04204000, {})
ANY_SIZE = ("vivid", "vivid", 0x04200001, {"NV12": "stepwise"})


class Driver:
    """Answers ioctl requests as a driver does, from one of the descriptions above."""

    def __init__(self, driver, card, caps, formats):
        self.driver, self.card, self.caps, self.formats = driver, card, caps, formats

    def __call__(self, descriptor, request, data):
        index = struct.unpack_from("=I", data)[0]
        if request == v4l2.QUERYCAP:
            words = (self.driver.encode(), self.card.encode(), b"usb-1.2", 0x60000, self.caps | 0x80000000, self.caps)
            return v4l2.CAPABILITY.pack_into(data, 0, *words)
        if request == v4l2.ENUM_FMT:
            name = self._at(list(self.formats), index)
            return v4l2.FORMAT.pack_into(data, 0, index, 1, 0, b"", int.from_bytes(name.encode(), "little"))
        code = struct.unpack_from("=I", data, 4)[0].to_bytes(4, "little").decode()
        sizes = self.formats[code]
        if request == v4l2.ENUM_FRAMESIZES:
            if sizes == "stepwise":
                self._at([0], index)
                return v4l2.SIZE.pack_into(data, 0, index, 0, 3, 320, 4096, 2, 180, 2160, 2)
            width, height = self._at(list(sizes), index)
            return v4l2.SIZE.pack_into(data, 0, index, 0, 1, width, height, 0, 0, 0, 0)
        assert request == v4l2.ENUM_FRAMEINTERVALS
        size = struct.unpack_from("=2I", data, 8)
        rates = [(1, 60)] if sizes == "stepwise" else sizes[size]
        numerator, denominator = self._at(rates, index)
        kind = 3 if sizes == "stepwise" else 1
        return v4l2.INTERVAL.pack_into(data, 0, index, 0, 0, 0, kind, numerator, denominator, 0, 0, 0, 0)

    @staticmethod
    def _at(items, index):
        if index >= len(items):
            raise OSError(errno.EINVAL, "Invalid argument")
        return items[index]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that makes a machine of devices, libcamera's list, and the programs that are installed."""
    monkeypatch.setattr(csi, "has_l4t", lambda: False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(*devices, listed=None, programs=()):
        real = v4l2.query
        paths = [f"/dev/video{number}" for number in range(len(devices))]
        monkeypatch.setattr(listing, "camera_devices", lambda: paths)

        def query(path):
            device = devices[paths.index(path)]
            if isinstance(device, OSError):
                raise device
            return real(os.devnull, Driver(*device))

        monkeypatch.setattr(listing.v4l2, "query", query)
        if listed is not None:
            programs = (*programs, "rpicam-hello")
        for name in programs:
            path = folder / name
            path.write_text(f"#!{sys.executable}\nprint({listed!r})\n")
            path.chmod(0o755)

    return make


def run(*words):
    result = CliRunner().invoke(cli.cli, ["cameras", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


LISTED = """Available cameras
-----------------
0 : imx708 [4608x2592 10-bit RGGB] (/base/soc/i2c0mux/i2c@1/imx708@1a)
    Modes: 'SRGGB10_CSI2P' : 1536x864 [120.13 fps - (768, 432)/3072x1728 crop]
1 : ov5647 [2592x1944 10-bit GBRG] (/base/x)
"""


def test_a_webcam_its_mode_and_what_to_type(machine):
    machine(WEBCAM, METADATA, CODEC)
    lines = run().splitlines()
    assert re.fullmatch(r"input +name +driver +best mode", lines[0])
    assert re.fullmatch(r"0 +HD Webcam: HD +uvcvideo +(YUYV|MJPG) 640x480 at 30(, 15)?", lines[1])
    assert lines[2] == "next: tsm-edge demo --input 0"
    assert len(lines) == 3, "no metadata device, no codec, nothing on modules where none is"
    everything = run("--modes")
    assert "0: MJPG 1920x1080 at 29.97" in everything and "0: YUYV 1280x720 at 10" in everything


def test_a_device_that_takes_any_size(machine):
    machine(ANY_SIZE)
    modes = json.loads(run("--json"))["cameras"][0]["modes"]
    assert [(mode["width"], mode["height"]) for mode in modes] == [
        (320, 240), (640, 480), (1280, 720), (1920, 1080), (4096, 2160),
    ]  # fmt: skip
    assert modes[0]["rates"] == [60.0] and modes[0]["format"] == "NV12"


def test_camera_modules_and_the_way_that_reads_them(machine):
    machine(MODULE, listed=LISTED, programs=("rpicam-vid",))
    text = run()
    assert re.search(r"^csi://0 +imx708 4608x2592 10-bit RGGB +libcamera", text, re.M)
    assert re.search(r"^csi://1 +ov5647", text, re.M)
    assert "camera modules are read by rpicam-vid" in text
    assert text.splitlines()[-1] == "next: tsm-edge demo --input csi://0"
    assert "unicam" not in text


def test_a_module_that_nothing_can_read_names_the_missing_way_and_its_command(machine):
    machine(MODULE)
    text = run()
    assert text.startswith("no camera was found\na camera module may be there, but nothing can read it: ")
    assert "picamera2 is missing (sudo apt install python3-picamera2" in text
    assert "rpicam-vid is missing (sudo apt install rpicam-apps-lite)" in text
    document = json.loads(run("--json"))
    assert document["module_seen"] and document["cameras"] == []
    assert [route["there"] for route in document["routes"]] == [False, False, False]


def test_no_camera_at_all(machine):
    machine()
    assert run() == "no camera was found: no /dev/video* device that delivers pictures, and no camera module\n"


def test_a_device_that_may_not_be_opened_or_is_broken(machine):
    machine(PermissionError(errno.EACCES, "Permission denied"), OSError(errno.ENODEV, "No such device"))
    text = run()
    assert "/dev/video0: no permission to open it: add the user to the group" in text
    assert "/dev/video1: No such device" in text


def test_names_cannot_write_to_the_terminal(machine):
    machine(("uvcvideo", "a\x1b[31mb", 0x04200001, {"YUYV": {(640, 480): [(1, 30)]}}))
    assert "\x1b" not in run() and "\\x1b[31mb" in run()


def test_links_that_stay_the_same(tmp_path, monkeypatch):
    target = tmp_path / "video3"
    target.touch()
    (tmp_path / "usb-046d_C270-video-index0").symlink_to(target)
    (tmp_path / "other").symlink_to(os.devnull)
    monkeypatch.setattr(listing, "_LINKS", (str(tmp_path), str(tmp_path / "by-path")))
    found = set(listing._links(str(target)))
    assert found == {str(tmp_path / "usb-046d_C270-video-index0"), str(target)}


def test_the_numbers_and_records_are_those_of_the_kernels_header(tmp_path):
    """Against linux/videodev2.h, by a C compiler."""
    checks = []
    for name, request, record, layout, field, at in (
        ("QUERYCAP", v4l2.QUERYCAP, "capability", v4l2.CAPABILITY, "device_caps", 88),
        ("ENUM_FMT", v4l2.ENUM_FMT, "fmtdesc", v4l2.FORMAT, "pixelformat", 44),
        ("ENUM_FRAMESIZES", v4l2.ENUM_FRAMESIZES, "frmsizeenum", v4l2.SIZE, "discrete", 12),
        ("ENUM_FRAMEINTERVALS", v4l2.ENUM_FRAMEINTERVALS, "frmivalenum", v4l2.INTERVAL, "discrete", 20),
    ):
        checks += [
            f"(unsigned)VIDIOC_{name} == {request}u",
            f"sizeof(struct v4l2_{record}) == {layout.size}",
            f"offsetof(struct v4l2_{record}, {field}) == {at}",
        ]
    text = "#include <linux/videodev2.h>\n#include <stddef.h>\n"
    (tmp_path / "sizes.c").write_text(text + "".join(f'_Static_assert({check}, "{check}");\n' for check in checks))
    compiler = [shutil.which("cc")] if shutil.which("cc") else [sys.executable, "-m", "ziglang", "cc"]
    done = subprocess.run(
        [*compiler, "-fsyntax-only", tmp_path / "sizes.c"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_real_file_is_no_device(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(OSError):
        v4l2.query(str(tmp_path / "x"))
    assert camera.permission_hint()
