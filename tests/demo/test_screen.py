"""The window, and finding out that there can be none before OpenCV aborts the process."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from tsm_edge.demo import screen
from tsm_edge.demo.screen import Window, check_display
from tsm_edge.errors import DisplayError


def test_no_display_is_found_out_without_opening_a_window():
    def never():
        raise AssertionError("a window was tried")

    with pytest.raises(DisplayError, match="neither DISPLAY nor WAYLAND_DISPLAY") as caught:
        check_display({}, never)
    assert "--headless" in str(caught.value)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_either_kind_of_display_is_tried(name):
    tried = []
    check_display({name: ":0"}, lambda: tried.append(1) or "")
    assert tried == [1]


def test_an_opencv_without_windows_is_told_apart():
    message = "error: (-2:Unspecified error) The function is not implemented. Rebuild the library with GTK+"
    with pytest.raises(DisplayError, match="no window functions") as caught:
        check_display({"DISPLAY": ":0"}, lambda: message)
    assert "opencv-python-headless" in str(caught.value)


def test_a_display_that_nobody_answers_on_is_an_error_and_no_abort(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(DisplayError) as caught:
        check_display()
    assert "--headless" in str(caught.value)
    assert caught.value.found


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("qt.qpa.xcb: could not connect\n  This application failed\n", "qt.qpa.xcb: could not connect"),
        ("Traceback\n cv2.error: The function is not implemented.\n", "not implemented"),
        ("", "status -6"),
    ],
)
def test_what_the_window_library_said_is_passed_on(monkeypatch, stderr, said):
    monkeypatch.setattr(
        screen.subprocess, "run", lambda *args, **kwargs: SimpleNamespace(returncode=-6, stderr=stderr)
    )
    assert said in screen._probe()


def test_a_display_that_hangs_is_given_up(monkeypatch):
    def hang(*args, **kwargs):
        raise subprocess.TimeoutExpired("python", 30)

    monkeypatch.setattr(screen.subprocess, "run", hang)
    assert "30 s" in screen._probe()


class GuiError(Exception):
    """What cv2.error is to cv2."""


class Gui(SimpleNamespace):
    """The part of cv2 that a window uses; ``keys`` are pressed one a poll."""

    def __init__(self, keys):
        super().__init__(
            WINDOW_NORMAL=0, WINDOW_KEEPRATIO=0, WINDOW_GUI_NORMAL=16, WINDOW_FULLSCREEN=1,
            WND_PROP_FULLSCREEN=0, WND_PROP_VISIBLE=4, error=GuiError,
        )  # fmt: skip
        self.keys = list(keys)
        self.full = []
        self.size = None
        self.visible = 1

    def namedWindow(self, title, flags):
        pass

    def resizeWindow(self, title, width, height):
        self.size = (width, height)

    def imshow(self, title, picture):
        pass

    def waitKey(self, ms):
        return self.keys.pop(0) if self.keys else -1

    def setWindowProperty(self, title, prop, value):
        self.full.append(value)

    def getWindowProperty(self, title, prop):
        return self.visible

    def destroyAllWindows(self):
        self.visible = 0


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27, ord("q") | 0x100000])
def test_q_and_escape_end(key):
    assert not Window(gui=Gui([key])).poll()


def test_f_switches_full_screen_on_and_off(make):
    gui = Gui([ord("f"), -1, ord("F")])
    window = Window(gui=gui)
    window.show(make.picture((1, 2, 3), 320, 300))
    assert gui.size == (640, 600)  # a small camera picture is shown larger
    assert all(window.poll() for _ in range(3))
    assert gui.full == [1, 0]


def test_r_forgets(make):
    pressed = []
    window = Window(lambda: pressed.append(1), Gui([-1, ord("r"), ord("R")]))
    assert all(window.poll() for _ in range(3))
    assert len(pressed) == 2


def test_closing_the_window_ends_but_not_before_it_is_there(make):
    gui = Gui([])
    gui.visible = 0
    window = Window(gui=gui)
    assert window.poll()
    window.show(make.picture((1, 2, 3)))
    assert not window.poll()
    window.close()


def test_the_window_library_that_has_no_window_left_means_closed_too(make):
    gui = Gui([])

    def gone(*args):
        raise GuiError("NULL guiReceiver (please create a window)")

    window = Window(gui=gui)
    window.show(make.picture((1, 2, 3)))
    assert window.poll()
    gui.getWindowProperty = gui.destroyAllWindows = gone
    assert not window.poll()
    window.close()
