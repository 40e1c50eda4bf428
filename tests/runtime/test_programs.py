"""What a bundle carries for other programs, and examples/: compiled with what is here, and run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")
WIDTH, HEIGHT = 640, 480


def cxx(*arguments: str | Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    done = subprocess.run([compiler, *STRICT, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bundles(build, library, runtime, tmp_path_factory) -> list[Path]:
    """Two folders as a bundle is: the scores of one grow for another class than those of the other."""
    from tsm_edge.compile.link.toolchain import for_programs

    folders = []
    for best in ("1", "2"):
        folder = tmp_path_factory.mktemp(f"bundle-{best}")
        flags = ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-Bsymbolic", "-Wl,-soname,libtsm.so")
        shutil.copy(build(f"lib{best}.so", library, *flags, f"-DTINY_BEST={best}"), folder / "libtsm.so")
        for name, content in for_programs(runtime).items():
            (folder / name).write_bytes(content)
        folders.append(folder)
    return folders


def clip(frames: int) -> bytes:
    return bytes(frames * WIDTH * HEIGHT * 3 // 2)


def test_the_example_watches_two_bundles_at_once(bundles, tmp_path):
    """One program, two libraries with the same names, each with its own answer."""
    cxx("-I", bundles[0], bundles[0] / "example.cpp", "-ldl", "-o", tmp_path / "example")
    command = [tmp_path / "example", "12", *bundles]
    done = subprocess.run(command, input=clip(6), capture_output=True, text=False, check=False)
    assert done.returncode == 0, done.stderr
    seen = {line.split(b"tiny  ")[1].rsplit(b"  ", 1)[0] for line in done.stdout.splitlines() if b"tiny" in line}
    assert any("café".encode() in label for label in seen) and any(b'a "wave"' in label for label in seen)
    refused = subprocess.run([tmp_path / "example", "12", tmp_path], capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "libtsm.so" in refused.stderr


USES = """
#include "tsm_edge.hpp"
#include <cstdio>
int main() {
    tsm::Model model = tsm::Model::linked();
    tsm::Stream first = model.stream(), stream = std::move(first);
    const tsm::Model copy = model;
    model = copy;
    std::uint8_t pixels[24 * 24 * 3] = {};
    const tsm::Scores scores = stream.step(tsm::rgb(pixels, 24, 24, 72));
    stream.reset();
    try { stream.step(tsm::bgr(pixels, 24, 24, 1)); }
    catch (const tsm::Error &error) { std::printf("%d %s\\n", error.status() == TSM_E_ARGUMENT, error.what()); }
    try { stream.step_tensor(std::vector<float>(7)); }
    catch (const tsm::Error &error) { std::printf("%s\\n", error.what()); }
    try { model.stream(1000); }
    catch (const tsm::Error &error) { std::printf("%s\\n", error.what()); }
    std::printf("%zu %s\\n", scores.size(), model.label(99).c_str());
}
"""


def test_linked_with_pkg_config_and_what_is_thrown(bundles, tmp_path):
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed")
    (tmp_path / "uses.cpp").write_text(USES)
    asked = ["pkg-config", "--cflags", "--libs", "tsm_edge"]
    environment = {"PKG_CONFIG_PATH": str(bundles[0]), "PATH": "/usr/bin:/bin"}
    flags = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True).stdout.split()
    cxx("-fsanitize=address,undefined", tmp_path / "uses.cpp", *flags, "-o", tmp_path / "uses")
    done = subprocess.run([tmp_path / "uses"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for part in ("1 image stride too small", "found: 7 floats", "allowed: 1 to 64", "3 class 99"):
        assert part in done.stdout


def test_linked_with_cmake(bundles, tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    (tmp_path / "uses.cpp").write_text(USES)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(uses CXX)\nset(CMAKE_CXX_STANDARD 17)\n"
        f'find_package(tsm_edge CONFIG REQUIRED PATHS "{bundles[0]}" NO_DEFAULT_PATH)\n'
        "add_executable(uses uses.cpp)\ntarget_link_libraries(uses tsm_edge::tsm)\n"
    )
    for command in (["cmake", "-S", tmp_path, "-B", tmp_path / "build"], ["cmake", "--build", tmp_path / "build"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([tmp_path / "build" / "uses"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "3 class 99" in done.stdout


# -- examples/ ---------------------------------------------------------------------------------------------------------


def test_the_bridge_to_java_compiles(repository, runtime):
    headers = sorted(Path("/usr/lib/jvm").glob("*/include/jni.h")) if Path("/usr/lib/jvm").is_dir() else []
    if not headers:
        pytest.skip("no jni.h: apt-get install default-jdk-headless")
    folder = headers[0].parent
    includes = ("-I", folder, "-I", folder / "linux", "-I", runtime)
    cxx(*includes, "-fsyntax-only", repository / "examples/android/tsm_jni.cpp")


def test_opencv_compiles(repository, runtime):
    found = subprocess.run(["pkg-config", "--cflags", "opencv4"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip("OpenCV's headers are not installed: apt-get install libopencv-dev")
    includes = ("-I", runtime, "-I", runtime / "package", *found.stdout.split())
    cxx(*includes, "-fsyntax-only", repository / "examples/opencv/watch.cpp")


def test_python_examples_compile(repository):
    for path in (repository / "examples").rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
    assert len((repository / "examples/ten_lines.py").read_text().partition("with ")[2].splitlines()) <= 10


def test_the_pin_follows_the_gesture(repository, tmp_path):
    (tmp_path / "gpiozero.py").write_text(
        "class LED:\n"
        "    def __init__(self, pin): print('pin', pin)\n"
        "    def on(self): print('on')\n"
        "    def off(self): print('off')\n"
    )
    events = [
        {"kind": "gesture", "label": "Stop"},
        {"kind": "gesture", "label": "Thumb Up"},
        {"kind": "idle", "label": "No gesture", "ended": "Thumb Up"},
    ]
    done = subprocess.run(
        [sys.executable, repository / "examples/gpio/pin.py", "17", "Thumb Up"],
        input="".join(json.dumps(event) + "\n" for event in events),
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["pin", "17", "off", "on", "off", "off"], done.stderr


def test_ten_lines_over_a_file(repository, make, plain_program, tmp_path):
    cv2 = pytest.importorskip("cv2")
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"MJPG"), 12.0, (64, 48))
    for _ in range(12):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    command = [sys.executable, repository / "examples/ten_lines.py", make(runner=plain_program), clip]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("café 0."), done.stderr
