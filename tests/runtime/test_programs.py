"""What a bundle carries for other programs: compiled with what is here, and run."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from examples_lab import cxx

WIDTH, HEIGHT = 640, 480


def clip(frames: int) -> bytes:
    return bytes(frames * WIDTH * HEIGHT * 3 // 2)


def test_the_example_watches_two_bundles_at_once(bundles, tmp_path):
    """One program, two libraries with the same names, each with its own answer."""
    cxx("-fno-rtti", "-I", bundles[0], bundles[0] / "example.cpp", "-ldl", "-o", tmp_path / "example")
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
