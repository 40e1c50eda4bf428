"""What tests/abuse does to a verb: run it in a child of a warm process, refuse it a write, kill it, look at the rest.

A scene is a verb with a small job. Its `prepare` leaves the older result in a folder, its `act` writes the newer one
over it. After a failure every file is the older or the newer one (of scenes that are `one` artefact, all of them the
same), and nothing else is there.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ABUSE = Path(__file__).resolve().parents[1] / "abuse"


@dataclass(frozen=True)
class Scene:
    """A verb and its job.

    one: all files are one artefact, so an older one beside a newer one is a failure. given: made once for all runs,
    in the folder `given` beside the job's. digest: what tells an older file from a newer one; raises for a broken one.
    warm: imports and the like, which the children share. dead: files that no reader looks at any more.
    """

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path], None]
    one: bool = False
    given: Callable[[Path], None] = lambda folder: None
    digest: Callable[[Path], str] = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
    warm: Callable[[Path], None] = lambda folder: None
    dead: Callable[[Path], list[Path]] = lambda folder: []


@dataclass(frozen=True)
class Outcome:
    """How a child ended. code: exit code, or minus the signal. text: stdout and stderr. refused: the call, or ""."""

    code: int
    text: str
    calls: int
    refused: str


@dataclass(frozen=True)
class Refusal:
    """The nth call that changes the disk fails, and with `stays` all later ones that take space."""

    nth: int
    stays: bool
    number: int


def verb(*words: object) -> None:
    """Run the command line in this process; SystemExit at its end."""
    from tsm_edge import cli

    sys.argv = ["tsm-edge", *map(str, words)]
    cli.main()


# -- Children ----------------------------------------------------------------------------------------------------------


def start(
    folder: Path, act: Callable[[Path], None], refusal: Refusal | None = None, told: int = 0
) -> tuple[int, int]:
    """Fork a child that acts in `folder`; return its PID and the reading end of its report.

    told: the report begins with a "." at the call of this number that changes the disk.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 70
    try:
        os.close(reading)
        log = os.open(folder.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(log), "w", buffering=1) for _ in range(2))
        os.environ["TMPDIR"] = str(folder.parent / "tmp")
        tempfile.tempdir = None
        os.chdir(folder)
        library = preloaded()
        if library is not None:
            below = f"{folder}:{folder.parent / 'tmp'}:".encode()
            job = refusal or Refusal(0, False, 0)
            library.refuse_arm(ctypes.c_long(job.nth), int(job.stays), job.number, below)
            library.refuse_tell(ctypes.c_long(told), writing)
        code = _acted(folder, act)
        if library is not None:
            report = json.dumps([library.refuse_count(), library.refuse_what().decode()])
            os.write(writing, report.encode())
    finally:
        os._exit(code)


def _acted(folder: Path, act: Callable[[Path], None]) -> int:
    from tsm_edge.errors import EdgeError

    try:
        act(folder)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except EdgeError as error:
        print(error.report(), file=sys.stderr)
        return error.exit_code
    except BaseException:
        traceback.print_exc()
        return 71
    return 0


def finish(folder: Path, pid: int, reading: int) -> Outcome:
    """Wait for a child."""
    with os.fdopen(reading) as pipe:
        report = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    report = report.lstrip(".")
    calls, refused = json.loads(report) if report else (0, "")
    return Outcome(status, (folder.parent / "log").read_text(errors="replace"), calls, refused)


def run(folder: Path, act: Callable[[Path], None], refusal: Refusal | None = None) -> Outcome:
    """Act in a child and wait for it."""
    return finish(folder, *start(folder, act, refusal))


def preloaded() -> ctypes.CDLL | None:
    """The library of refuse.c where this process has it preloaded."""
    with contextlib.suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.refuse_count.restype = ctypes.c_long
        library.refuse_what.restype = ctypes.c_char_p
        return library
    return None


def preload() -> None:
    """Build refuse.c and start this program again with it preloaded; programs that this one starts are without it."""
    if preloaded() is not None:
        shutil.rmtree(Path(os.environ.pop("LD_PRELOAD")).parent)  # it stays mapped
        return
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("no C compiler to build refuse.c with: apt install gcc")
    library = Path(tempfile.mkdtemp(prefix="abuse-")) / "refuse.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(ABUSE / "refuse.c"), "-ldl"]
    if os.spawnvp(os.P_WAIT, compiler, command) != 0:
        sys.exit("refuse.c cannot be built")
    os.environ["LD_PRELOAD"] = str(library)
    os.execv(sys.executable, [sys.executable, *sys.argv])


# -- States ------------------------------------------------------------------------------------------------------------


class Stage:
    """A scene's folders: `work` with the older result, whose `older` and `newer` states are known."""

    def __init__(self, scene: Scene, place: Path) -> None:
        self.scene = scene
        self.work, self.first = place / "work", place / "first"
        for folder in (place, self.work, place / "tmp", place / "given"):
            folder.mkdir(parents=True, exist_ok=True)
        self.run_well(place / "given", scene.given)
        scene.warm(self.work)
        self.run_well(self.work, scene.prepare)
        self.older = self.state()
        shutil.copytree(self.work, self.first, symlinks=True)
        self.calls = self.run_well(self.work, scene.act).calls
        self.newer = self.state()
        assert self.newer != self.older, f"{scene.name} changes nothing"

    def run_well(self, folder: Path, act: Callable[[Path], None]) -> Outcome:
        """Run without trouble."""
        outcome = run(folder, act)
        assert outcome.code == 0, outcome
        return outcome

    def again(self) -> None:
        """Put the older result back."""
        shutil.rmtree(self.work)
        shutil.copytree(self.first, self.work, symlinks=True)
        for left in (self.work.parent / "tmp").iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def state(self) -> dict[str, str]:
        """What every file of the result holds."""
        files = sorted(path for path in self.work.rglob("*") if path.is_file())
        dead = self.scene.dead(self.work)
        named = {path.relative_to(self.work).as_posix(): path for path in files if path not in dead}
        return {name: self.scene.digest(path) for name, path in named.items() if not _is_litter(name)}

    def fault(self, *, litter: bool = False) -> str:
        """What is wrong with what is there, "" for nothing; `litter`: a killed writer's temporaries are allowed."""
        from tsm_edge.files import temporaries

        try:
            now = self.state()
        except Exception as error:
            return f"a broken file: {type(error).__name__}: {error}"
        for name, digest in now.items():
            if digest not in (self.older.get(name), self.newer.get(name)):
                return f"{name} is neither the older nor the newer one"
        gone = sorted(set(self.older) & set(self.newer) - set(now))
        if gone:
            return f"{gone[0]} is gone"
        if self.scene.one and now not in (self.older, self.newer):
            return "older and newer files are mixed"
        left = [path for path in self.leftovers() if temporaries._NAME.fullmatch(path.name) is None or not litter]
        return f"litter: {left[0]}" if left else ""

    def leftovers(self) -> list[Path]:
        """Temporaries of the scene's folder and all that is in the folder for temporary files."""
        hidden = [path for path in self.work.rglob(".*") if _is_litter(path.name)]
        scratch = [path for path in (self.work.parent / "tmp").iterdir() if not _is_torchs(path.name)]
        return [*hidden, *scratch]


def _is_torchs(name: str) -> bool:
    """PyTorch's cache, which it makes where temporary files are and keeps."""
    return name.startswith("torchinductor")


def _is_litter(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


@contextlib.contextmanager
def stage(scene: Scene) -> Iterator[Stage]:
    """A scene's folders while the context lasts."""
    with tempfile.TemporaryDirectory(prefix=f"abuse-{scene.name}-") as place:
        yield Stage(scene, Path(place).resolve())


def spread(count: int, sample: int) -> list[int]:
    """1 to `count`, or so many of them with the first and the last, evenly spread; `sample` 0 for all."""
    if not sample or sample >= count:
        return list(range(1, count + 1))
    steps = {1 + round(at * (count - 1) / (sample - 1)) for at in range(sample)}
    return sorted(steps)


def report(scene: Scene, facts: Sequence[str], faults: Sequence[str]) -> None:
    """Print a line for a scene, and one for each of its faults."""
    table([(f"{scene.name:15}", *facts, f"{len(faults)} faults")])
    for fault in faults:
        print(f"  {fault}", flush=True)


def table(rows: list[tuple[object, ...]]) -> None:
    """Print aligned columns."""
    widths = [max(len(str(cell)) for cell in column) for column in itertools.zip_longest(*rows, fillvalue="")]
    for row in rows:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip(), flush=True)
