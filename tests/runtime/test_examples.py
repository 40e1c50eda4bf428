"""examples/: built with what is here, and run; what is a camera, a pin or a robot is stood in for."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cross_lab
import numpy as np
import pytest
from examples_lab import cxx

HERE = Path(__file__).resolve().parent
SIDE = 20


@pytest.fixture(scope="module")
def examples(repository) -> Path:
    return repository / "examples"


@pytest.fixture(scope="module")
def colours(make, plain_program) -> Path:
    """Its scores are the mean of red, green and blue; red means that there is nothing to report."""
    rule = {"window": 4, "agree": 2, "threshold": 0.5, "idle": [0]}
    return make("-DTINY_WEIGHTS=0.0f,0.0f,0.0f", "-DTINY_IDLE={0}", runner=plain_program, decision=rule)


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- Python ------------------------------------------------------------------------------------------------------------


def clip_of(folder: Path) -> Path:
    cv2 = pytest.importorskip("cv2")
    clip = folder / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"MJPG"), 12.0, (64, 48))
    for _ in range(12):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    return clip


def test_ten_lines_over_a_file(examples, make, plain_program, tmp_path):
    text = (examples / "ten_lines.py").read_text()
    assert len(text.partition("with ")[2].splitlines()) <= 10
    told = run(sys.executable, examples / "ten_lines.py", make(runner=plain_program), clip_of(tmp_path))
    assert told.startswith("café 0.")


def test_the_pin_follows_the_gesture(examples, tmp_path):
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
        [sys.executable, examples / "gpio/pin.py", "17", "Thumb Up"],
        input="".join(json.dumps(event) + "\n" for event in events),
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["pin", "17", "off", "on", "off", "off"], done.stderr


@pytest.mark.parametrize(("encoding", "pad"), [("bgr8", 0), ("rgb8", 12)])
def test_the_node_tells_gestures_and_their_ends(examples, colours, tmp_path, encoding, pad):
    """With a stand-in of rclpy; the node itself is as it is run on a robot."""
    frames = np.zeros((72, SIDE, SIDE, 3), np.uint8)
    for number, colour in enumerate("rgbrgr"):
        frames[12 * number : 12 * number + 12, :, :, encoding.index(colour)] = 255
    np.save(tmp_path / "frames.npy", frames)
    python_path = os.pathsep.join([str(HERE / "ros2_stand_in"), os.environ.get("PYTHONPATH", "")])
    settings = {"ROS_FRAMES": str(tmp_path / "frames.npy"), "ROS_ENCODING": encoding, "ROS_PAD": str(pad)}
    told = run(
        sys.executable,
        examples / "ros2/gesture_node.py",
        PYTHONPATH=python_path,
        ROS_PARAMETER_bundle=str(colours),
        **settings,
    )
    *events, last = told.splitlines()
    records = [json.loads(event) for event in events]
    assert last == "destroyed"
    assert [(r["kind"], r["index"]) for r in records] == [
        *[("gesture", 1), ("gesture", 2), ("idle", 0), ("gesture", 1), ("idle", 0)]
    ]
    assert [r["ended"] for r in records] == ["", "", "café", "", 'a "wave"\n']
    assert all(r["schema"] == 1 and 1700000000 < r["t_s"] < 1700000003.1 for r in records)


def test_the_node_refuses_an_encoding(examples, colours, tmp_path):
    np.save(tmp_path / "frames.npy", np.zeros((1, 4, 4, 2), np.uint8))
    python_path = os.pathsep.join([str(HERE / "ros2_stand_in"), os.environ.get("PYTHONPATH", "")])
    settings = {"ROS_FRAMES": str(tmp_path / "frames.npy"), "ROS_ENCODING": "bayer_rggb8", "ROS_PAD": "0"}
    told = run(
        sys.executable,
        examples / "ros2/gesture_node.py",
        PYTHONPATH=python_path,
        ROS_PARAMETER_bundle=str(colours),
        **settings,
    )
    assert "error encoding bayer_rggb8; allowed: bgr8, rgb8" in told


# -- OpenCV ------------------------------------------------------------------------------------------------------------


def test_opencv_is_built_and_watches_a_clip(examples, bundles, tmp_path):
    found = (
        subprocess.run(["pkg-config", "--exists", "opencv4"], check=False)
        if shutil.which("pkg-config")
        else None
    )
    if found is None or found.returncode != 0 or shutil.which("cmake") is None:
        pytest.skip("OpenCV's headers or CMake are not installed: apt-get install libopencv-dev cmake")
    run("cmake", "-S", examples / "opencv", "-B", tmp_path / "build", f"-DBUNDLE={bundles[0]}")
    run("cmake", "--build", tmp_path / "build")
    command = [tmp_path / "build" / "watch", bundles[0], clip_of(tmp_path)]
    run(*command, QT_QPA_PLATFORM="offscreen")
    refused = subprocess.run(
        [*command[:2], tmp_path / "none.avi"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1 and "cannot open" in refused.stderr


# -- Android -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jni() -> list[str | Path]:
    """The folders of jni.h."""
    root = Path("/usr/lib/jvm")
    headers = sorted(root.glob("*/include/jni.h")) if root.is_dir() else []
    if not headers:
        pytest.skip("no jni.h: apt-get install default-jdk-headless")
    return ["-I", headers[0].parent, "-I", headers[0].parent / "linux"]


def test_the_bridge_is_an_aarch64_library_for_pages_of_16_kib(
    examples, jni, runtime, aarch64_bundle, tmp_path
):
    """By the project's cross-compiler with the flags of the CMakeLists; there is no C library of Android here."""
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed")
    flags = re.findall(r'"(-Wl,[^"]+)"', (examples / "android/CMakeLists.txt").read_text())
    assert flags == ["-Wl,-z,max-page-size=16384"]
    target, library = ["-target", "aarch64-linux-gnu.2.27"], tmp_path / "libtsm_jni.so"
    source, compiled = examples / "android/tsm_jni.cpp", tmp_path / "tsm_jni.o"
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC"]
    cross_lab.zig("c++", *target, *strict, *jni, "-I", runtime, "-c", source, "-o", compiled)
    # by "cc", which builds no library of C++ for it; an application has that of the NDK
    cross_lab.zig("cc", *target, "-shared", *flags, compiled, "-L", aarch64_bundle, "-ltsm", "-o", library)
    lines = [line.split() for line in run("readelf", "-lW", library).splitlines()]
    assert {line[-1] for line in lines if line[:1] == ["LOAD"]} == {hex(16384)}
    assert "AArch64" in run("readelf", "-h", library) and "libtsm.so" in run("readelf", "-d", library)
    exported = set(
        re.findall(r"Java_org_tsmedge_Gestures_(\w+)", run("readelf", "-W", "--dyn-syms", library))
    )
    declared = set(re.findall(r"external fun (\w+)", (examples / "android/Gestures.kt").read_text()))
    assert exported == declared == {"open", "free", "label", "see"}


def test_the_bridge_in_a_jvm(examples, jni, runtime, build, library, tmp_path):
    """The same calls as of Gestures.kt, on NV21 and I420, on this machine."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed")
    flags = ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-soname,libtsm.so")
    macros = ("-DTINY_WEIGHTS=0.0f,0.0f,0.0f", "-DTINY_IDLE={0}")
    shutil.copy(build("libtsm.so", library, *flags, *macros), tmp_path / "libtsm.so")
    arguments = [
        "-shared",
        "-fPIC",
        *jni,
        "-I",
        runtime,
        examples / "android/tsm_jni.cpp",
        "-L",
        tmp_path,
        "-ltsm",
    ]
    cxx(*arguments, "-Wl,-rpath,$ORIGIN", "-o", tmp_path / "libtsm_jni.so")
    told = run("java", f"-Djava.library.path={tmp_path}", "-Xmx256m", HERE / "Gestures.java").splitlines()
    first, second, unknown, refused = told[:4]
    assert told[4:8] == told[:4], told
    assert first.endswith(' a "wave"\\n true') and second.endswith(" café true") and unknown == "class 99"
    assert refused == "refused: plane 0 of the frame is NULL" and "1000" in " ".join(told[8:])


def test_the_kotlin_compiles(examples, tmp_path):
    """Against the declarations of CameraX that it uses."""
    compiler = shutil.which("kotlinc")
    if compiler is None:
        pytest.skip("kotlinc is not installed: npm install kotlin-compiler has it as bin/kotlinc")
    run(
        compiler,
        "-Werror",
        HERE / "camera_x.kt",
        examples / "android/Gestures.kt",
        "-d",
        tmp_path / "classes",
    )
    assert (tmp_path / "classes/org/tsmedge/Gestures.class").is_file()


# -- A container -------------------------------------------------------------------------------------------------------


@pytest.fixture
def container(examples, runtime, library, command, good, tmp_path) -> Iterator[list[str | Path]]:
    """What `docker run` starts: a root folder with what the Dockerfile copies, its entry point, and the emulator."""
    if os.geteuid() != 0 or shutil.which("chroot") is None:
        pytest.skip("only root may change the root folder")
    emulator = shutil.which("qemu-aarch64-static")
    native = platform.machine() == "aarch64"
    if emulator is None and not native:
        pytest.skip("qemu-aarch64-static is not installed: apt-get install qemu-user-static")
    (tmp_path / "bundle").mkdir()
    cross_lab.static(tmp_path / "bundle", "aarch64", runtime, library, command, good)
    root, entry = tmp_path / "root", []
    root.mkdir()
    for line in (examples / "container/Dockerfile").read_text().splitlines():
        word, _, rest = line.partition(" ")
        assert word in ("", "#", "FROM", "COPY", "ENTRYPOINT", "CMD"), line
        if word == "FROM":
            assert rest == "scratch"
        if word == "COPY":
            source, target = rest.split()
            shutil.copytree(tmp_path / source, root / target.lstrip("/"))
        if word == "ENTRYPOINT":
            entry = json.loads(rest)
    assert entry and {path.name for path in root.iterdir()} == {"bundle"}
    if not native:  # it is no part of the container; Docker has it outside
        shutil.copy(emulator, root / "emulator")
    (root / "proc").mkdir()  # which every container has
    yield ["chroot", root, *([] if native else ["/emulator"]), *entry]


def test_the_container_needs_nothing_but_the_bundle(container):
    if platform.machine() == "aarch64":
        pytest.skip("without an emulator the program needs /proc, which a test does not mount")
    info = run(*container, "--info")
    assert "aarch64, musl, static" in info
    frames = np.full((24, SIDE, SIDE, 3), 200, np.uint8).tobytes()
    arguments = ["--raw", f"{SIDE}x{SIDE}", "--format", "rgb", "--fps", "12", "--events", "-"]
    done = subprocess.run([*map(str, container), *arguments], input=frames, capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == ["gesture"]
