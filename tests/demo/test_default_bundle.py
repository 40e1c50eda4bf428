"""The cached default bundle: made once, checked when opened, safe for two processes at once."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tsm_edge import bundle, target
from tsm_edge.bundle.manifest import Manifest, ModelInfo, PlanInfo, TargetInfo, WeightsInfo
from tsm_edge.demo import cache_key as keys
from tsm_edge.demo import default_bundle as cache
from tsm_edge.errors import EdgeError, ExtraMissing, OutputError
from tsm_edge.signature import Preprocess, Signature, TensorSpec

FILES = {"libtsm.so": b"no code", "tsm-edge-run": b"#!", "tsm_edge.h": b"/* C */\n", "plan.txt": b"1 conv\n"}


def build(folder: Path) -> None:
    """Write a whole bundle without a compiler."""
    tensors = ((TensorSpec("frame", (1, 3, 8, 8)),), (), (TensorSpec("logits", (1, 2)),))
    manifest = Manifest(
        model=ModelInfo(cache.MODEL, {}, WeightsInfo("seeded", "untrained", ""), "zoo"),
        labels=(),
        preprocess=Preprocess.square(9, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "rgb", 12.0),
        signature=Signature(*tensors),
        target=TargetInfo.of(target.load("x86-64")),
        backend="cpu",
        precision="float32",
        threads=1,
        plan=PlanInfo(1, 0, 0, 0, 0, 0),
        compiler={},
    )
    bundle.write(folder, manifest, FILES)


class Counted:
    """Builds bundles and counts them."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.times = 0
        self.seconds = seconds

    def __call__(self, folder: Path) -> None:
        self.times += 1
        time.sleep(self.seconds)
        build(folder)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """A key that costs nothing; the real one has tests of its own below."""
    monkeypatch.setattr(cache, "cache_key", lambda model, name: "0123456789abcdef" * 4)


@pytest.fixture
def environ(tmp_path):
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_it_is_compiled_once_and_then_found(tmp_path, environ):
    counted = Counted()
    folder = cache.default_bundle(counted, environ)
    assert folder.name == f"{cache.MODEL}-local"
    assert folder.is_relative_to(tmp_path / "cache" / "tsm-edge")
    assert cache.default_bundle(counted, environ) == folder
    assert counted.times == 1
    assert bundle.verify(folder).model.name == cache.MODEL


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "libtsm.so").write_bytes(b"no c0de"),
        lambda folder: (folder / "plan.txt").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").unlink(),
    ],
)
def test_a_damaged_entry_is_compiled_again_with_a_note(environ, capsys, damage):
    counted = Counted()
    folder = cache.default_bundle(counted, environ)
    assert capsys.readouterr().err == ""
    damage(folder)
    assert cache.default_bundle(counted, environ) == folder
    assert counted.times == 2
    assert "is damaged; it is compiled again" in capsys.readouterr().err
    bundle.verify(folder)


def test_two_at_once_compile_once(environ, capfd):
    counted, folders = Counted(seconds=0.3), []
    threads = [
        threading.Thread(target=lambda: folders.append(cache.default_bundle(counted, environ)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.times == 1
    assert len(set(folders)) == 1
    assert len(folders) == 3
    assert "waiting for another process" in capfd.readouterr().err


def test_without_locks_the_first_to_finish_wins(environ):
    home = cache.cache_home(environ)

    def build_while_another_is_faster(folder):
        build(folder)
        build(home / ("0123456789abcdef" * 4) / folder.name)
        (home / ("0123456789abcdef" * 4) / "first").touch()

    folder = cache.default_bundle(build_while_another_is_faster, environ)
    assert (folder.parent / "first").exists()
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


def test_a_failed_build_leaves_nothing_and_is_tried_again(environ):
    def fail(folder):
        folder.mkdir()
        raise EdgeError("the compiler failed")

    with pytest.raises(EdgeError, match="compiler failed"):
        cache.default_bundle(fail, environ)
    home = cache.cache_home(environ)
    assert [path for path in home.iterdir() if path.is_dir()] == []
    assert cache.default_bundle(build, environ).is_dir()


def test_only_the_newest_entries_are_kept(environ, monkeypatch):
    for number in range(7):
        monkeypatch.setattr(cache, "cache_key", lambda model, name, number=number: f"key{number}")
        cache.default_bundle(build, environ)
        time.sleep(0.01)
    home = cache.cache_home(environ)
    assert sorted(path.name for path in home.iterdir() if path.is_dir()) == ["key3", "key4", "key5", "key6"]


def test_what_a_killed_process_left_is_removed_after_a_day(environ, monkeypatch):
    home = cache.cache_home(environ)
    for name in (".old-x", ".new-x"):
        (home / name).mkdir(parents=True)
    os.utime(home / ".old-x", (1, 1))
    cache.default_bundle(build, environ)
    assert (home / ".new-x").exists()
    assert not (home / ".old-x").exists()


def test_a_cache_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        cache.default_bundle(build, {"XDG_CACHE_HOME": str(tmp_path / "file")})


def test_a_relative_cache_home_is_ignored():
    assert cache.cache_home({"XDG_CACHE_HOME": "here"}) == Path.home() / ".cache/tsm-edge/bundles"


def test_without_the_compiler_it_says_how_to_get_a_bundle(monkeypatch, tmp_path):
    monkeypatch.setattr(cache.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match="Python package tvm") as caught:
        cache.compile_default(tmp_path / "bundle")
    assert '".[compile]"' in caught.value.hint
    assert "--bundle" in caught.value.hint
    assert caught.value.exit_code == 5


def test_the_compiler_is_run_as_a_command_and_its_failure_is_ours(monkeypatch, tmp_path):
    ran = []

    def run(command, **options):
        ran.append((command, options))
        return SimpleNamespace(returncode=5)

    monkeypatch.setattr(cache.children, "run", run)
    monkeypatch.setattr(cache.importlib.util, "find_spec", lambda name: object())
    with pytest.raises(EdgeError, match="status 5"):
        cache.compile_default(tmp_path / "a bundle; with spaces")
    command, options = ran[0]
    assert command[1:4] == ["-m", "tsm_edge", "compile"]
    assert command[-1] == str(tmp_path / "a bundle; with spaces")
    assert not options.get("shell")


def test_the_key_is_stable_and_depends_on_sources_versions_and_machine(monkeypatch):
    first = keys.cache_key("tsm-mobilenetv2", "local")
    assert keys.cache_key("tsm-mobilenetv2", "local") == first
    others = {keys.cache_key("tsm-resnet50", "local"), keys.cache_key("tsm-mobilenetv2", "x86-64")}
    monkeypatch.setattr(keys, "_source_hash", lambda: "edited")
    others.add(keys.cache_key("tsm-mobilenetv2", "local"))
    monkeypatch.setattr(keys, "_version", lambda name: "9.9")
    others.add(keys.cache_key("tsm-mobilenetv2", "local"))
    assert len(others | {first}) == 5


def test_the_sources_of_the_compiler_count_and_those_of_the_demo_do_not(tmp_path, monkeypatch):
    def places(name):
        return SimpleNamespace(submodule_search_locations=[str(tmp_path / name)])

    for name in keys._SOURCES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("1")
    (tmp_path / "tsm_edge" / "demo").mkdir()
    monkeypatch.setattr(keys.importlib.util, "find_spec", places)
    before = keys._source_hash()
    (tmp_path / "tsm_edge" / "demo" / "b.py").write_text("1")
    (tmp_path / "tsm_edge.compile" / "__pycache__").mkdir()
    (tmp_path / "tsm_edge.compile" / "__pycache__" / "a.pyc").write_text("1")
    assert keys._source_hash() == before
    (tmp_path / "tsm_edge.compile" / "a.py").write_text("2")
    assert keys._source_hash() != before
