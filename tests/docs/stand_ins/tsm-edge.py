"""tsm-edge for the commands of the documentation: the real command line with a stand-in camera and display.

The camera delivers the shipped clip at 30 frames a second by the clock. A run that only its user ends (a camera, a
loop, a window) gets Ctrl-C END_S seconds after its camera or file was opened; the clip's first gesture is decided after
2.6. What takes a number of clips or epochs gets a small one.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

END_S = 3.5
#: options that are added to a verb's: the same work, less of it
LESS = {
    "record": ["--clips", "2", "--countdown", "0"],
    "synth": ["--clips", "22", "--size", "32"],
    "train": ["--epochs", "1", "--batch", "4"],
    "export": ["--size", "64"],
}
#: for a compile or verify with this checkpoint, which is of such a network
SMALL = ["--width", "0.35", "--size", "96"]


def stand_in_camera(clip: str, ends: bool) -> None:
    """Give cv2 a camera and a display."""
    import cv2

    import tsm_edge.demo.screen as screen
    import tsm_edge.demo.sources.camera as camera

    real = cv2.VideoCapture

    class Camera:
        def __init__(self, *device: object) -> None:
            self.file, self.begin, self.count = real(clip), time.monotonic(), 0
            self.properties: dict[int, float] = {}

        def grab(self) -> bool:
            time.sleep(max(0.0, self.begin + self.count / 30 - time.monotonic()))
            self.count += 1
            if not self.file.grab():
                self.file = real(clip)
                return self.file.grab()
            return True

        def retrieve(self) -> tuple[bool, object]:
            return self.file.retrieve()

        def read(self) -> tuple[bool, object]:
            return self.retrieve() if self.grab() else (False, None)

        def isOpened(self) -> bool:
            return True

        def set(self, name: int, value: float) -> bool:
            self.properties[name] = value
            return True

        def get(self, name: int) -> float:
            return self.properties.get(name, 0.0)

        def release(self) -> None:
            self.file.release()

    def open_capture(source: object, *more: object) -> object:
        if ends:
            end_soon()
        is_device = isinstance(source, int) or str(source).startswith(("/dev/", "rtsp:"))
        return Camera(source) if is_device else real(source, *more)

    cv2.VideoCapture = open_capture  # type: ignore[misc,assignment]
    for name in ("namedWindow", "imshow", "resizeWindow", "setWindowProperty", "destroyAllWindows"):
        setattr(cv2, name, lambda *_: None)
    cv2.getWindowProperty = lambda *_: 1.0
    cv2.waitKey = lambda *_: ord("y") if sys.argv[1] == "record" else -1
    os.environ.setdefault("DISPLAY", ":stand-in")
    screen._probe = lambda: ""
    camera.check_camera = lambda *_, **__: None


def end_soon() -> None:
    """Press Ctrl-C in a while."""
    timer = threading.Timer(END_S, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()


def stand_in_network(clip: str) -> None:
    """Be the network cameras of the command line: a server for those of http://, none for those of rtsp://."""
    import tsm_edge.demo.sources.ffmpeg_stream as ffmpeg_stream
    import tsm_edge.demo.sources.opening as opening

    for at, word in enumerate(sys.argv):
        if word.startswith("rtsp://"):
            ffmpeg_stream.reach = opening.reach = lambda *_: None
        elif word.startswith("http://camera.local"):
            sys.argv[at] = word.replace("camera.local:8081", f"127.0.0.1:{serve(clip)}")
            end_soon()


def serve(clip: str) -> int:
    """Serve the clip as Motion JPEG; return the port."""
    sys.path.insert(0, str(Path(os.environ["TSM_EDGE_DOCS_CLONE"], "tests", "helpers")))
    import cv2
    from stream_servers import HttpCamera, begin_parts, jpeg, part

    def behave(handler: object) -> None:
        begin_parts(handler)
        file = cv2.VideoCapture(clip)
        while (read := file.read())[0]:
            part(handler, jpeg(read[1]))
            time.sleep(1 / 30)

    port: int = HttpCamera(behave).port
    return port


def only_its_user_ends(arguments: list[str]) -> bool:
    """Whether the demo runs until it is told to stop."""
    file = "--video" in arguments or "--images" in arguments or "-" in arguments
    return "--loop" in arguments or not (file or "--max-frames" in arguments)


def main() -> None:
    """Run the command line."""
    verb, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    sys.argv[0] = "tsm-edge"
    sys.argv += [word for word in LESS.get(verb, []) if "--reel" not in arguments or word not in LESS["synth"][:2]]
    if {"--mqtt", "--webhook"} & set(arguments) and verb == "demo":
        sys.argv += ["--max-frames", "60"]  # of the clip, until after its first gesture
    if "my.pth" in arguments:
        sys.argv += SMALL
    if verb in ("demo", "record"):
        stand_in_camera(os.environ["TSM_EDGE_DOCS_CLIP"], verb == "demo" and only_its_user_ends(arguments))
    if verb in ("demo", "record"):
        stand_in_network(os.environ["TSM_EDGE_DOCS_CLIP"])
    if verb == "demo":
        board = os.environ["TSM_EDGE_DOCS_BOARD"]
        for at, word in enumerate(sys.argv):
            if word.endswith("-raspberry-pi-4") and (Path(word) / "manifest.json").is_file():
                sys.argv[at] = board  # this machine is the board: its own bundle
    from tsm_edge.cli import main as run

    run()


main()
