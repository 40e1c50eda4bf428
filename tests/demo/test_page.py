"""The live page in a headless browser, at the size of a phone and of a desk. Needs Chromium."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("tornado", reason="the page needs the extra 'serve'")

import browser as browsers

from tsm_edge.demo import REAL_CLIP
from tsm_edge.demo.events import Event
from tsm_edge.demo.history import History
from tsm_edge.demo.overlay import Score, Status
from tsm_edge.demo.web.address import Address
from tsm_edge.demo.web.server import Server

pytestmark = pytest.mark.skipif(
    browsers.PROGRAM is None, reason="no Chromium; Debian's package is 'chromium'"
)

PHONE, DESK = (390, 844, True), (1280, 800, False)
LABELS = ("No gesture", "Turning Hand Counterclockwise", "<img src=x onerror=alert(1)>")


@pytest.fixture(scope="module")
def chromium():
    with browsers.Browser() as running:
        yield running


@pytest.fixture
def browser(chromium):
    yield chromium
    chromium.close_pages()


OTHER_SITE = """<form method=post target=sink action="OURSreset"></form>
<iframe name=sink></iframe> <iframe src="OURS"></iframe> <img id=shown src="OURSstream.mjpg">
<script>
window.done = [];
const note = (word) => () => done.push(word);
document.forms[0].submit();
document.getElementById("shown").onerror = note("image refused");
fetch("OURSreset", { method: "POST", mode: "no-cors" }).then(note("sent"), note("sent"));
fetch("OURSnext?after=0").then(note("read"), note("not read"));
</script>"""


class Show:
    """A server that is offered a picture every 50 ms; ``label`` says which of LABELS is seen."""

    def __init__(self, port=0, token="", sources=("clip.mp4",)):
        self.pressed = threading.Event()
        self.label = 1
        self._stop = threading.Event()
        self._history = History()
        self.server = Server(Address("127.0.0.1", port), token, self.pressed.set, sources)
        self.server.know("tsm-mobilenetv2")
        self._count = len(sources)
        self._thread = threading.Thread(target=self._offer)
        self._thread.start()

    def _offer(self):
        number = 0
        while not self._stop.wait(0.05):
            image = np.full((480, 640, 3), (40, 90, 60), np.uint8)
            cv2.circle(image, (20 + 8 * number % 600, 240), 40, (200, 200, 255), -1)
            index = self.label if number >= 20 else 0
            self._history.add(index, LABELS[index], 0.5 * number)
            top = (
                Score(index, LABELS[index], 0.82),
                Score(5, "Stop Sign", 0.11),
                Score(6, "Swiping Up", 0.0),
            )
            ms = 5 + number % 3
            told = Status(LABELS[index], 0.82 if index else None, ms, 12.0, 4, "", top, self._history.spans())
            for one in range(self._count):
                self.server.place(one).offer(image, told)
            number += 1

    def close(self, why="end"):
        self._stop.set()
        self._thread.join()
        self.server.close(why)


@pytest.fixture
def show():
    """Return a function that starts a show; all are ended."""
    shows = []

    def start(**options):
        shows.append(Show(**options))
        return shows[-1]

    yield start
    for one in shows:
        one.close()


def content(page, name):
    return page.evaluate(f"document.getElementById('{name}').textContent")


def open_page(browser, url, size=DESK, label=LABELS[1]):
    width, height, phone = size
    page = browser.page(url, width, height, phone=phone)
    page.wait(f"document.getElementById('label').textContent === {json.dumps(label)}")
    return page


@pytest.mark.parametrize(
    "size",
    [(320, 568, True), PHONE, (844, 390, True), (800, 480, False), (480, 320, False), DESK],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_everything_is_there_at_every_size(browser, show, size, tmp_path):
    page = open_page(browser, show().server.url, size)
    page.wait("document.getElementById('picture').naturalWidth === 640")
    assert page.evaluate("document.querySelector('.chip').innerText") == LABELS[1]
    assert re.fullmatch(r"[567]\.0 ms · 12\.0 FPS · dropped 4", content(page, "speed"))
    assert content(page, "percent") == "82%"
    assert page.evaluate("document.title") == f"{LABELS[1]} – tsm-edge demo"
    assert page.evaluate("[...document.querySelectorAll('#bars li')].map((row) => row.innerText)")[0].split() == [
        *LABELS[1].split(), "82%"
    ]  # fmt: skip
    assert page.evaluate("document.querySelectorAll('#strip div').length") == 2
    page.wait("document.querySelector('polyline').getAttribute('points').split(' ').length > 10")
    assert content(page, "times-text") == "median 6.0 ms, highest 7.0 ms"
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]  # nothing to scroll sideways
    outside = """[...document.querySelectorAll('main *')].filter((node) => {
      const box = node.getBoundingClientRect();
      return box.width > 1 && (box.left < -0.5 || box.right > innerWidth + 0.5);
    }).map((node) => node.id || node.tagName)"""
    assert page.evaluate(outside) == []
    answer = "document.getElementById('bars').getBoundingClientRect().bottom <= innerHeight"
    assert page.evaluate(answer)  # nobody scrolls for what the page is there to tell
    heights = page.evaluate(
        "[...document.querySelectorAll('button')].map((one) => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44  # a thumb
    page.screenshot(tmp_path / "page.png")
    assert cv2.imread(str(tmp_path / "page.png")).std() > 20
    assert page.complaints() == []


BOXES = """(names) => names.flatMap((name) => [...document.querySelectorAll(name)]).map((node) => {
  const box = node.getBoundingClientRect();
  return [box.left, box.top, box.right, box.bottom];
})"""


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("size", [PHONE, (800, 480, False), DESK], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_answer_for_each_of_several_inputs_is_above_the_fold(browser, show, size, count):
    names = [f"rtsp://camera-{number}.local:8554/a-long-name/of-a-stream" for number in range(count)]
    page = open_page(browser, show(sources=names).server.url, size)
    page.wait(f"document.querySelectorAll('#inputs button').length === {count}")
    answers = page.evaluate(f"({BOXES})(['#now', '#bars li', '#inputs button', '.chip'])")
    assert len(answers) == 1 + 3 + 2 * count
    for left, top, right, bottom in answers:
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    (picture,) = page.evaluate(f"({BOXES})(['#picture'])")
    middle = [(picture[0] + picture[2]) / 2, (picture[1] + picture[3]) / 2]
    for number, (left, top, right, bottom) in enumerate(answers[-count:]):
        assert (left > middle[0]) == (right > middle[0]) == (number % 2 == 1)  # on its own picture
        assert (top > middle[1]) == (count == 4 and number >= 2)
        assert picture[1] <= top and bottom <= picture[3]
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.complaints() == []


def test_one_of_several_inputs_can_be_chosen(browser, show):
    running = show(sources=("left", "right"))
    page = open_page(browser, running.server.url)
    assert content(page, "whose") == ": right"  # which was offered its gesture last
    press = "document.querySelectorAll('#inputs button')[0].click()"
    page.evaluate(press)
    assert content(page, "whose") == ": left"
    pressed = "[...document.querySelectorAll('#inputs button')].map((one) => one.getAttribute('aria-pressed')).join()"
    assert page.evaluate(pressed) == "true,false"
    assert page.evaluate("document.querySelectorAll('#inputs button')[1].innerText").split("\n") == [
        "right", LABELS[1], "82%"
    ]  # fmt: skip
    page.evaluate(press)
    assert content(page, "whose") == ": right"


def test_those_who_cannot_see_it_are_told_the_same(browser, show):
    page = open_page(browser, show().server.url)
    page.wait("document.getElementById('times').getAttribute('aria-label').includes('median')")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    }
    assert {("button", "Reset"), ("button", "Pause"), ("heading", "tsm-edge demo")} <= named
    images = [name for role, name in named if role == "image"]
    assert "Live picture of the camera or video" in images
    assert f"The last 30 seconds: No gesture, {LABELS[1]}" in images
    assert any(re.match(r"The last \d+ frames: median 6\.0 ms", name) for name in images)
    live = [node for node in nodes if node.get("role", {}).get("value") == "status"]
    assert live
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert page.evaluate("getComputedStyle(document.querySelector('#bars i')).transitionDuration") in (
        "0s",
        "0.0s",
    )


def test_while_nothing_is_recognised_there_is_no_number_in_the_headline(browser, show):
    running = show()
    running.label = 0
    page = open_page(browser, running.server.url, label=LABELS[0])
    assert content(page, "percent") == ""
    assert "82%" in page.evaluate("document.getElementById('bars').innerText")
    running.label = 1
    page.wait("document.getElementById('percent').textContent === '82%'")


def test_labels_are_text_and_nothing_else(browser, show):
    running = show()
    running.label = 2
    page = open_page(browser, running.server.url, label=LABELS[2])
    assert page.evaluate("document.images.length") == 1
    assert page.complaints() == []


def test_the_reset_button(browser, show):
    running = show()
    page = open_page(browser, running.server.url, PHONE)
    page.evaluate("document.getElementById('reset').click()")
    assert running.pressed.wait(10)
    page.wait("document.getElementById('reset').textContent === 'Reset done'")
    page.wait("document.getElementById('reset').textContent === 'Reset'")


def test_pause_asks_for_nothing(browser, show):
    running = show()
    page = open_page(browser, running.server.url)
    page.evaluate("document.getElementById('pause').click()")
    assert content(page, "pause") == "Continue"
    time.sleep(0.5)
    seen = page.evaluate("after")
    time.sleep(0.5)
    assert page.evaluate("after") == seen
    page.evaluate("document.getElementById('pause').click()")
    page.wait(f"after > {seen} + 5")


def test_two_viewers_at_once_and_the_server_going_away_and_coming_back(browser, show):
    running = show()
    pages = [open_page(browser, running.server.url, size) for size in (PHONE, DESK)]
    seen = [page.evaluate("after") for page in pages]
    for page, before in zip(pages, seen):
        page.wait(f"after > {before} + 5")
    port = running.server.address.port
    running.close("max-frames")
    for page in pages:
        page.wait("!document.getElementById('message').hidden && document.getElementById('reset').disabled")
        message = content(page, "message")
        assert message.startswith(("The demo has ended (max-frames)", "The connection is lost. Trying again"))
        assert page.evaluate("document.getElementById('view').classList.contains('stale')")
    show(port=port)
    for page in pages:
        page.wait("document.getElementById('message').hidden && !document.getElementById('reset').disabled")
        page.wait("after < 1000 && document.getElementById('view').classList.contains('stale') === false")
        assert page.complaints() == []


def test_a_link_that_is_no_longer_valid_is_said(browser, show):
    running = show(token="first-token-of-two")
    page = open_page(browser, running.server.url)
    running.close()
    show(port=running.server.address.port, token="second-token-of-two")
    page.wait("document.getElementById('message').textContent.includes('token is missing or wrong')")
    assert page.evaluate("document.getElementById('reset').disabled")


@pytest.fixture
def other_site(tmp_path):
    """Return a function that serves a page from another port of this machine, which is another site; gives its URL."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    def serve(page):
        (tmp_path / "index.html").write_text(page)
        handler = functools.partial(Quiet, directory=str(tmp_path))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_another_site_can_neither_press_the_button_nor_frame_the_page(browser, show, other_site):
    """Its form and its script are refused."""
    running = show()
    page = browser.page(other_site(OTHER_SITE.replace("OURS", running.server.url)))
    page.wait("window.done && done.length >= 3")
    time.sleep(0.3)
    assert sorted(page.evaluate("done")) == ["image refused", "not read", "sent"]
    assert not running.pressed.is_set()
    assert any("frame-ancestors" in complaint for complaint in page.complaints())


@pytest.mark.parametrize("token", ["", "a-token-of-letters"])
def test_the_script_of_the_documentation_hears_gestures_on_another_site_with_a_token(
    browser, show, other_site, repository, token
):
    server = show(token=token).server
    (script,) = re.findall(r"```js\n(.*?)```", (repository / "docs" / "events.md").read_text(), re.DOTALL)
    script = script.replace("http://board:8080", f"http://127.0.0.1:{server.address.port}").replace("TOKEN", token)
    heard = "window.heard = []; console.log = (text) => heard.push(text);"
    page = browser.page(other_site(f"<script>{heard}\n{script}\nwindow.source = events</script>"))
    if not token:
        page.wait("source.readyState === EventSource.CLOSED")
        return
    page.wait("source.readyState === EventSource.OPEN")
    server.tell(Event(1, "Stop Sign", 0.9, 1.0, 12, id="run-1", at=1e9))
    page.wait("heard.length === 1")
    assert page.evaluate("heard[0]") == "Stop Sign"


def test_the_demo_as_a_user_starts_it(browser, local_bundle, tmp_path):
    """The command line, a real bundle and a real clip; reset begins the timeline anew."""
    command = [sys.executable, "-m", "tsm_edge", "demo", "--video", str(REAL_CLIP), "--loop", "--json"]
    command += [
        "--serve",
        "127.0.0.1:0",
        "--bundle",
        str(local_bundle),
        "--record",
        str(tmp_path / "out.mp4"),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "DISPLAY": ""}
    )
    try:
        url = re.search(r"http://\S+", process.stderr.readline())[0]
        page = browser.page(url, 390, 844, phone=True)
        page.wait(f"document.getElementById('source').textContent === '{REAL_CLIP.name}'", 60)
        page.wait(
            "document.getElementById('picture').naturalWidth === 480"
        )  # 0 while the next one is loading
        assert content(page, "model") == "tsm-mobilenetv2"
        begin = "parseFloat(document.querySelector('#strip div').style.left)"
        page.wait(f"{begin} < 95")  # more than 1.5 of the 30 seconds
        page.evaluate("document.getElementById('reset').click()")
        page.wait(f"{begin} > 97")
        page.screenshot(tmp_path / "page.png")
        assert page.complaints() == []
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary = json.loads(out.splitlines()[-1])
    assert summary["stopped"] == "interrupted"
    assert summary["recorded"] == str(tmp_path / "out.mp4")
