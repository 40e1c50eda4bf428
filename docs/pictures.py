"""Make the pictures of README.md and docs/demo.md: a frame of the demo, and its live page on a phone and a desk.

    python docs/pictures.py BUNDLE [--video CLIP] [--at SECONDS]

It needs tsm-edge with the extra ``serve`` and Chromium, and writes demo.jpg, page-phone.jpg and page-desk.jpg
beside itself.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import cv2

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))

from browser import Browser  # noqa: E402  (its folder has just been added)

DEMO = [sys.executable, "-m", "tsm_edge", "demo"]


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--video", type=click.Path(exists=True), default=str(HERE.parent / "demo" / "data" / "gestures.mp4")
)
@click.option("--at", type=float, default=5.0, show_default=True, help="Second of the clip to show.")
def main(bundle: str, video: str, at: float) -> None:
    """Make the pictures of README.md and docs/demo.md."""
    overlay(bundle, video, at)
    page(bundle, video, at)


def overlay(bundle: str, video: str, at: float) -> None:
    """Record the clip and keep the frame at second ``at``."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "demo.mp4"
        command = [*DEMO, "--bundle", bundle, "--video", video, "--headless", "--record", str(recording)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        capture = cv2.VideoCapture(str(recording))
        capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * at)
        good, picture = capture.read()
        capture.release()
    if not good:
        raise click.ClickException(f"the clip has no second {at:g}")
    cv2.imwrite(str(HERE / "demo.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])


def page(bundle: str, video: str, at: float) -> None:
    """Serve the clip by its clock and photograph the page at second ``at``."""
    command = [*DEMO, "--bundle", bundle, "--video", video, "--loop", "--serve", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        if found is None:
            raise click.ClickException("the demo did not start:\n" + process.stderr.read())
        with Browser() as browser:
            pages = {
                "page-phone.jpg": browser.page(found[0], 390, 844, phone=True),
                "page-desk.jpg": browser.page(found[0], 1280, 720),
            }
            for one in pages.values():
                one.wait("!document.getElementById('picture').hidden", 60)
            time.sleep(at)
            for name, one in pages.items():
                one.screenshot(HERE / name)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


if __name__ == "__main__":
    main()
