"""Programs that the commands of the documentation call, and that are a camera, a board or another machine.

Called as the program whose name it has. What is not listed in RUN is not stood in for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

BOARD = Path(os.environ["TSM_EDGE_DOCS_HOME"]) / "board"
FRAMES = 48
SYSROOTS = {"aarch64": "/usr/aarch64-linux-gnu", "armv7l": "/usr/arm-linux-gnueabihf"}
EMULATORS = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}


def frames(width: int, height: int, channels: str) -> None:
    """Frames of the clip on stdout, as a camera would deliver them; "yuv420p" is a planar frame, "mjpeg" a JPEG."""
    import cv2

    capture = cv2.VideoCapture(os.environ["TSM_EDGE_DOCS_CLIP"])
    for _ in range(FRAMES):
        good, frame = capture.read()
        if not good:
            sys.exit("the clip is too short")
        frame = cv2.resize(frame, (width, height))
        if channels == "mjpeg":
            sys.stdout.buffer.write(cv2.imencode(".jpg", frame)[1].tobytes())
            continue
        code = {"rgb24": cv2.COLOR_BGR2RGB, "yuv420p": cv2.COLOR_BGR2YUV_I420}.get(channels)
        sys.stdout.buffer.write((frame if code is None else cv2.cvtColor(frame, code)).tobytes())


def ffmpeg(words: list[str]) -> None:
    """A camera or a stream in, raw frames or YUV4MPEG2 out; from a pipe it reads what is there."""
    if "yuv4mpegpipe" in words:
        yuv4mpeg2(160, 120)
        return
    size = re.findall(r"-s (\d+)x(\d+)", " ".join(words))[-1]
    if words[words.index("-i") + 1] == "-":
        sys.stdin.buffer.read()
    formats = re.findall(r"-pix_fmt (\S+)", " ".join(words))
    assert words[-1] == "-" and "rawvideo" in words
    frames(int(size[0]), int(size[1]), formats[-1])


def yuv4mpeg2(width: int, height: int) -> None:
    """The clip as YUV4MPEG2."""
    import cv2

    capture, out = cv2.VideoCapture(os.environ["TSM_EDGE_DOCS_CLIP"]), sys.stdout.buffer
    out.write(f"YUV4MPEG2 W{width} H{height} F24:1 Ip C420\n".encode())
    for _ in range(FRAMES):
        frame = cv2.resize(capture.read()[1], (width, height))
        out.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())


def gst_launch(words: list[str]) -> None:
    """A pipeline that ends in fdsink, or in a descriptor of the demo's, which reads what the frames are."""
    if words[-1].startswith("fd="):
        assert words[0] == "-v" and "sync=false" in words and "name=frames" in words, words
        print("GstFdSink:frames.GstPad:sink: caps = video/x-raw, width=(int)160, height=(int)120", flush=True)
        os.dup2(int(words[-1].removeprefix("fd=")), 1)
        frames(160, 120, "bgr24")
        return
    caps = re.search(r"format=(\w+),width=(\d+),height=(\d+)", " ".join(words))
    assert caps is not None and words[-1] == "fdsink"
    frames(int(caps[2]), int(caps[3]), {"RGB": "rgb24", "BGR": "bgr24"}[caps[1]])


def rpicam_vid(words: list[str]) -> None:
    """Planar frames, or JPEGs, on stdout; 640x480 unless told otherwise, as the program has it."""
    given = dict(zip(words, words[1:]))
    assert given["-t"] == "0" if "-t" in given else given["--timeout"] == "0", words
    assert given.get("-o", given.get("--output")) == "-"
    width, height = int(given.get("--width", 640)), int(given.get("--height", 480))
    assert given["--codec"] in ("yuv420", "mjpeg"), words
    frames(width, height, "yuv420p" if given["--codec"] == "yuv420" else "mjpeg")


def scp(words: list[str]) -> None:
    """Copy a folder into the board's home."""
    assert words[0] == "-r" and words[-1].endswith(":"), words
    BOARD.mkdir(exist_ok=True)
    for name in words[1:-1]:
        shutil.copytree(name, BOARD / Path(name).name, dirs_exist_ok=True)


def ssh(words: list[str]) -> None:
    """Run a command in the board's home; -L forwards a port and waits."""
    if words[0] == "-L":
        assert re.fullmatch(r"\d+:127\.0\.0\.1:\d+", words[1]), words
        return
    on_board(words[1:], BOARD)


def on_board(words: list[str], folder: Path) -> None:
    """Run the native command of a bundle as its board would: under the emulator of its architecture."""
    import json

    bundle = (folder / words[0]).parent
    arch = json.loads((bundle / "manifest.json").read_text())["target"]["arch"]
    emulator = [EMULATORS[arch], "-L", SYSROOTS[arch]] if arch in EMULATORS else []
    words, camera = without_camera(words)
    command = [*emulator, str(folder / words[0]), *words[1:]]
    if "--bench" in words:
        command += ["--frames", "2"]
    sys.exit(subprocess.run(command, stdin=camera, check=False).returncode)


def without_camera(words: list[str]) -> tuple[list[str], IO[bytes] | None]:
    """The command with the frames of its camera on standard input, and what gives them."""
    if "--camera" not in words:
        return words, None
    at, size = words.index("--camera"), words.index("--size")
    taken = {at, at + 1, size, size + 1}
    rest = [word for number, word in enumerate(words) if number not in taken]
    source = ["ffmpeg", "-i", words[at + 1], "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", words[size + 1], "-"]
    camera = subprocess.Popen([sys.executable, __file__, *source], stdout=subprocess.PIPE)
    return [*rest, "--raw", words[size + 1], "--format", "bgr"], camera.stdout


def pip(words: list[str]) -> None:
    """Nothing is installed again; the extras and files that are named must exist."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    clone = Path(os.environ["TSM_EDGE_DOCS_CLONE"])
    known = tomllib.loads((clone / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert words[0] == "install", words
    if "-c" in words:
        assert (clone / words[words.index("-c") + 1]).is_file(), words
    for word in words:
        if found := re.fullmatch(r"\.\[([\w,]+)\]", word):
            assert set(found[1].split(",")) <= set(known), word


def make(words: list[str]) -> None:
    """Every target exists; what it does is not done again."""
    clone = os.environ["TSM_EDGE_DOCS_CLONE"]
    done = subprocess.run(["/usr/bin/make", "-n", "-C", clone, *words], capture_output=True, check=False)
    sys.exit(done.returncode)


def systemctl(words: list[str]) -> None:
    """A manager with a service that runs."""
    if "show" in words:
        print("LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\nStatusText=12.0 FPS")


def nothing(words: list[str]) -> None:
    """Takes what it is given."""


RUN = {
    "ffmpeg": ffmpeg,
    "gst-launch-1.0": gst_launch,
    "rpicam-vid": rpicam_vid,
    "scp": scp,
    "ssh": ssh,
    "on-board": lambda words: on_board(words, Path.cwd()),
    "pip": pip,
    "make": make,
    "systemctl": systemctl,
    **dict.fromkeys(("sudo", "curl", "mosquitto_pub", "logger", "journalctl"), nothing),
}

if __name__ == "__main__":
    RUN[sys.argv[1]](sys.argv[2:])
