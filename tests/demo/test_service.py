"""``tsm-edge service``: units that systemd's own tools accept and find safe, and files that come and go cleanly."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tsm_edge.demo.service import devices, manager, plan
from tsm_edge.demo.service.command import service
from tsm_edge.demo.service.unit import MARK, quoted
from tsm_edge.demo.sources.uri import Input, parse_input
from tsm_edge.errors import EdgeError, ServiceError, ToolMissing, UnknownName, UsageError

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze; Debian's package is 'systemd'")
SECRET = "a-secret-of-many-letters"
WORST = 2.5  # of systemd's exposure level, 0 to 10; below 3 it says OK


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run the command in a folder of its own, with a bundle in the place of a real one."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "told").write_text("#!/bin/sh\n")
    (tmp_path / "told").chmod(0o755)
    facts = SimpleNamespace(device=None)
    for name in ("read", "verify"):
        monkeypatch.setattr(plan.bundle, name, lambda folder: facts)
    monkeypatch.setattr(plan.bundle, "check_host", lambda manifest: None)
    monkeypatch.setattr(plan, "_PRIVATE", ())
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("SYSTEM_UNITS", "RULES"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(manager, name, tmp_path / name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def call(*words, **options):
        facts.device = options.get("device")
        result = CliRunner().invoke(service, [str(word) for word in words])
        if isinstance(result.exception, Exception) and not isinstance(result.exception, EdgeError):
            raise result.exception
        return result

    return call


def printed(result):
    assert result.exit_code == 0, result.exception or result.output
    return result.stdout


def analyze(text, tmp_path, *, system=True, name="test.service"):
    """What systemd itself says against a unit, and its level of exposure."""
    place = tmp_path / "analyze"
    place.mkdir(exist_ok=True)
    unit = place / name
    unit.write_text(text)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(place)}
    kind = [] if system else ["--user"]
    verified = subprocess.run(
        [ANALYZE, *kind, "verify", str(unit)], capture_output=True, text=True, env=environment, check=False
    )
    level = subprocess.run(
        [ANALYZE, "security", "--offline=true", str(unit)], capture_output=True, text=True, check=True
    )
    found = float(level.stdout.rpartition("exposure level for")[2].split()[1])
    return verified.stdout + verified.stderr, verified.returncode, found


ALL = (
    "--camera", "/dev/video0", "--serve", "0.0.0.0:8080", "--token-file", "secret", "--mqtt", "mqtt://pi@broker/home",
    "--mqtt-password-file", "secret", "--webhook", "https://example.org/x?a=b%20c", "--webhook-secret-file", "secret",
    "--on-change", "./told 'a $b \"c\" %d'", "--on-change-idle", "--min-confidence", "0.9", "--threads", "2",
)  # fmt: skip


@needs_systemd
@pytest.mark.parametrize("kind", ["--system", "--user"])
@pytest.mark.parametrize(
    "options",
    [(), ALL, ("--camera", "2", "--mirror"), ("--memory", "1G", "--watchdog", "60", "--run-as", "root")],
    ids=("plain", "all", "number", "settings"),
)
def test_systemd_accepts_the_unit_and_finds_it_safe(call, tmp_path, kind, options):
    text = printed(call("print", kind, "--bundle", "bundle", *options))
    said, code, level = analyze(text, tmp_path, system=kind == "--system")
    assert (said, code) == ("", 0)
    if kind == "--system" and "root" not in options:
        assert level <= WORST


@needs_systemd
def test_systemd_would_say_so_if_it_were_bad(call, tmp_path):
    text = printed(call("print", "--system", "--bundle", "bundle"))
    said, code, _ = analyze(text.replace("WatchdogSec=30", "WatchdogSec=soon"), tmp_path)
    assert "soon" in said
    _, _, level = analyze(text.replace("NoNewPrivileges", "X-No").replace("SystemCallFilter", "X-Filter"), tmp_path)
    assert level > WORST


def settings(text):
    """The settings of a unit; those that come several times as lists."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def command(text):
    """The words of ExecStart as systemd reads them."""
    (line,) = settings(text)["ExecStart"]
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line)]


def test_the_command_is_the_demo_with_full_paths(call, tmp_path):
    words = command(printed(call("print", "--user", "--bundle", "bundle", *ALL)))
    assert words[1:4] == ["-m", "tsm_edge", "demo"] and words[0].startswith("/")
    given = words[4:]
    assert given[given.index("--bundle") + 1] == str(tmp_path / "bundle")
    assert shlex.split(given[given.index("--on-change") + 1]) == [str(tmp_path / "told"), 'a $b "c" %d']
    assert given[given.index("--webhook") + 1] == "https://example.org/x?a=b%20c"
    assert given[given.index("--token-file") + 1] == str(tmp_path / "secret")
    assert "--headless" not in given  # it has a page
    assert "--headless" in command(printed(call("print", "--user", "--bundle", "bundle")))


@pytest.mark.parametrize("kind", ["--system", "--user"])
def test_no_secret_is_in_a_unit(call, kind, tmp_path):
    (tmp_path / "address").write_text(f"https://me:{SECRET}@example.org/")
    options = [word for word in ALL if word != "https://example.org/x?a=b%20c"]
    options.insert(options.index("--webhook") + 1, "@address")
    text = printed(call("print", kind, "--bundle", "bundle", *options))
    assert SECRET not in text
    if kind == "--system":  # the manager reads them, the service's user cannot
        assert sorted(settings(text)["LoadCredential"]) == [
            f"tsm-edge.mqtt-password:{tmp_path}/secret",
            f"tsm-edge.token:{tmp_path}/secret",
            f"tsm-edge.webhook-secret:{tmp_path}/secret",
            f"tsm-edge.webhook:{tmp_path}/address",
        ]
        assert not [word for word in command(text) if word.endswith("secret")]


def test_a_webhook_in_a_credential_is_found(tmp_path, monkeypatch):
    from tsm_edge.demo.sinks.webhook import parse_webhook

    (tmp_path / "tsm-edge.webhook").write_text("https://example.org/x\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert parse_webhook("@tsm-edge.webhook").host == "example.org"


def test_what_it_may_do_follows_from_what_it_is_asked(call):
    def of(*options, **more):
        return settings(printed(call("print", "--system", "--bundle", "bundle", *options, **more)))

    alone, sends = of(), of("--mqtt", "mqtt://h")
    assert alone["PrivateNetwork"] == ["yes"] and "PrivateNetwork" not in sends
    assert "AF_INET" not in alone["RestrictAddressFamilies"][0] and "AF_INET" in sends["RestrictAddressFamilies"][0]
    assert alone["DeviceAllow"] == ["char-video4linux rw"] and alone["MemoryDenyWriteExecute"] == ["yes"]
    assert alone["DynamicUser"] == ["yes"] and "User" not in alone
    accelerated = of(device=object())
    assert not {"DeviceAllow", "PrivateDevices", "MemoryDenyWriteExecute"} & set(accelerated)
    assert of("--video", "clip.mp4", "--loop", "--serve", "127.0.0.1:1")["PrivateDevices"] == ["yes"]
    assert of("--run-as", "root")["User"] == ["root"]
    stream = of("--input", "rtsp://camera/1", "--rotate", "90")
    assert stream["PrivateDevices"] == ["yes"] and "PrivateNetwork" not in stream
    assert "--input rtsp://camera/1 --rotate 90" in stream["ExecStart"][0]
    user = of("--input", "rtsp://pi@camera/1", "--input-password-file", "secret")
    assert "rtsp://pi@camera/1" in user["ExecStart"][0]
    assert user["LoadCredential"][0].startswith("tsm-edge.input-password:/")
    assert (of("--writable", "told")["ReadWritePaths"][0]).endswith("/told")
    assert (alone["WatchdogSec"], alone["MemoryMax"], alone["Type"]) == (["30"], ["512M"], ["notify"])
    assert (alone["Restart"], alone["RestartPreventExitStatus"]) == (["always"], ["2 3 5"])
    assert (alone["StandardOutput"], alone["LogRateLimitBurst"]) == (["null"], ["200"])


@pytest.mark.parametrize("word", ["a", "a b", 'a"b', "a\\b", "$HOME", "${X}", "%h", "a;b", "'", "é ü", "", "a\\", "-x"])
def test_a_word_comes_back_as_it_was(word):
    (back,) = [part.replace("%%", "%").replace("$$", "$") for part in shlex.split(quoted(word))]
    assert back == word


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("print",), "needs a bundle"),
        (("print", "--bundle", "bundle", "--serve", "0.0.0.0:80"), "token that stays the same"),
        (("print", "--bundle", "bundle", "--mqtt", "mqtt://a:b@h"), "everybody sees"),
        (("print", "--bundle", "bundle", "--on-change", "no-such-program"), "cannot be run"),
        (("print", "--bundle", "bundle", "--min-confidence", "1"), "nobody who could be told"),
        (("print", "--bundle", "bundle", "--on-change", "./told 'a\nb'"), "control characters"),
        (("print", "--bundle", "bundle", "--run-as", "no-such-user"), "names nobody"),
        (("print", "--bundle", "bundle", "--memory", "64M"), "no size"),
        (("print", "--bundle", "bundle", "--memory", "1G\nX=y"), "no size"),
        (("print", "--bundle", "bundle", "--name", "../x"), "no name of a unit"),
        (("print", "--bundle", "bundle", "--system", "--writable", "a b"), "cannot name this path"),
        (("print", "--bundle", "bundle", "--input", "-"), "no standard input"),
        (("print", "--bundle", "bundle", "--input", "rtsp://pi:hunter2@camera/1"), "everybody on the machine"),
        (("print", "--bundle", "bundle", "--input", "http://camera/x?pwd=hunter2"), "everybody on the machine"),
        (("print", "--bundle", "bundle", "--input", "gst:rtspsrc user-pw=hunter2"), "everybody on the machine"),
        (("status", "--name", "a\nb"), "no name of a unit"),
        (("remove", "--name", "x.service"), "no name of a unit"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(call, words, named):
    result = call(*words)
    assert isinstance(result.exception, (UsageError, ToolMissing)) and named in str(result.exception)
    assert "hunter2" not in str(result.exception)


@pytest.mark.parametrize("option", ["--json", "--record", "--max-frames", "--headless", "--token"])
def test_options_without_a_use_in_a_service_are_not_there(call, option):
    assert "No such option" in call("print", "--bundle", "bundle", option, "1").output


# -- Installed, looked at, removed ----------------------------------------------------------------------------------


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """Stand-ins for systemctl and udevadm that write down how they are called; gives the calls."""
    place = tmp_path / "programs"
    place.mkdir()
    log = tmp_path / "calls"
    log.touch()
    answer = tmp_path / "answer"
    for name in ("systemctl", "udevadm"):
        script = place / name
        script.write_text(
            f'#!/bin/sh\necho "{name} $*" >> {log}\n'
            f'case "$*" in *show*) cat {answer};; *restart*) [ ! -e {tmp_path}/refuse ] || '
            f"{{ grep . {tmp_path}/refuse >&2 || echo 'Access denied' >&2; exit 4; }};; esac\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    answer.write_text("LoadState=not-found\n")
    return SimpleNamespace(calls=lambda: log.read_text().splitlines(), answer=answer, refuse=tmp_path / "refuse")


@pytest.mark.parametrize("kind", ["--system", "--user"])
def test_it_comes_and_goes_without_a_trace(call, systemctl, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(plan, "_open_to_all", lambda path: True)
    place = tmp_path / ("SYSTEM_UNITS" if kind == "--system" else "config/systemd/user") / "hall.service"
    shown = printed(call("print", kind, "--name", "hall", "--bundle", "bundle"))
    for _ in range(2):  # again: replaced
        said = printed(call("install", kind, "--name", "hall", "--bundle", "bundle"))
        assert str(place) in said and "service status" in said
    assert place.read_text() == shown
    assert stat.S_IMODE(place.stat().st_mode) == 0o644
    user = [] if kind == "--system" else ["--user"]
    calls = (["daemon-reload"], ["enable", "--quiet", "hall.service"], ["restart", "--no-block", "hall.service"])
    first = [" ".join(["systemctl", *user, *words]) for words in calls]
    assert systemctl.calls() == 2 * first
    printed(call("remove", kind, "--name", "hall"))
    assert not place.exists()
    assert systemctl.calls()[-2:] == [
        " ".join(["systemctl", *user, "disable", "--quiet", "--now", "hall.service"]), first[0]
    ]  # fmt: skip
    assert isinstance(call("remove", kind, "--name", "hall").exception, UnknownName)


def test_not_started_if_not_asked_to(call, systemctl, monkeypatch):
    monkeypatch.setattr(plan, "_open_to_all", lambda path: True)
    printed(call("install", "--system", "--no-start", "--bundle", "bundle"))
    assert systemctl.calls() == ["systemctl daemon-reload"]


def test_what_somebody_else_wrote_stays(call, systemctl, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_open_to_all", lambda path: True)
    other = tmp_path / "SYSTEM_UNITS" / "tsm-edge.service"
    other.write_text("[Service]\nExecStart=/bin/true\n")
    for words in (("install", "--bundle", "bundle"), ("remove",)):
        result = call(*words, "--system")
        assert isinstance(result.exception, ServiceError) and "did not write it" in str(result.exception)
    assert other.read_text().startswith("[Service]") and systemctl.calls() == []


def test_a_refusal_of_systemd_is_passed_on_with_a_cure(call, systemctl, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_open_to_all", lambda path: True)
    systemctl.refuse.touch()
    result = call("install", "--system", "--bundle", "bundle")
    assert isinstance(result.exception, ServiceError)
    assert "Access denied" in str(result.exception) and "sudo" in str(result.exception)
    assert not list((tmp_path / "SYSTEM_UNITS").iterdir())  # no half of a service stays
    systemctl.refuse.unlink()
    assert call("install", "--system", "--bundle", "bundle").exception is None
    (unit,) = (tmp_path / "SYSTEM_UNITS").iterdir()
    first = unit.read_text()
    systemctl.refuse.touch()
    assert call("install", "--system", "--bundle", "bundle", "--camera", "1").exception is not None
    assert unit.read_text() == first


@pytest.mark.parametrize(
    ("kind", "said", "cure"),
    [
        ("--user", "Failed to connect to bus: No medium found", "over ssh as this user"),
        ("--system", "System has not been booted with systemd as init system (PID 1).", "print the unit"),
    ],
)
def test_where_systemd_does_not_run_it_says_so(call, systemctl, monkeypatch, kind, said, cure):
    monkeypatch.setattr(plan, "_open_to_all", lambda path: True)
    systemctl.refuse.write_text(said)
    result = call("install", kind, "--bundle", "bundle")
    assert said in str(result.exception) and cure in result.exception.hint


def test_files_that_the_service_could_not_read_are_found_before(call, systemctl, tmp_path):
    (tmp_path / "bundle").chmod(0o700)
    result = call("install", "--system", "--bundle", "bundle")
    assert isinstance(result.exception, UsageError) and "could not read" in str(result.exception)
    assert not list((tmp_path / "SYSTEM_UNITS").iterdir()) and systemctl.calls() == []


def test_a_bundle_in_a_folder_for_passing_files_is_refused(call, systemctl, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_PRIVATE", (tmp_path,))
    result = call("install", "--system", "--run-as", "root", "--bundle", "bundle")
    assert isinstance(result.exception, UsageError) and "would not see" in str(result.exception)


def test_the_state_is_told_in_words_and_as_json(call, systemctl):
    assert isinstance(call("status", "--system").exception, UnknownName)
    systemctl.answer.write_text(
        "LoadState=loaded\nActiveState=active\nSubState=running\nStatusText=120 frames, 12.0 FPS\nNRestarts=3\n"
        "Result=success\nMemoryCurrent=123456\nUnitFileState=enabled\nActiveEnterTimestamp=Sun\n"
    )
    text = printed(call("status", "--system"))
    assert "active" in text and "120 frames" in text and "journalctl --system --unit tsm-edge" in text
    found = json.loads(printed(call("status", "--system", "--json")))["service"]
    assert (found["state"], found["restarts"], found["memory_bytes"]) == ("active", 3, 123456)
    systemctl.answer.write_text("LoadState=loaded\nActiveState=failed\nNRestarts=9\nMemoryCurrent=[not set]\n")
    result = call("status", "--system", "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["service"]["memory_bytes"] is None


def test_without_systemd_it_says_so(call, monkeypatch):
    monkeypatch.setattr(manager.shutil, "which", lambda name: None)
    for words in (("status",), ("install", "--user", "--bundle", "bundle")):
        assert isinstance(call(*words).exception, ToolMissing)


def test_a_rule_of_udev_only_where_a_device_is_closed(tmp_path, monkeypatch):
    """As root: character devices of every kind, as some systems have them."""
    (tmp_path / "dma_heap").mkdir()
    video = devices.grp.getgrnam("video").gr_gid

    def closed(address, kind="device"):
        return devices.closed(Input(kind, address, address), tmp_path)

    try:
        for name, group, mode in (("video0", video, 0o660), ("video1", 0, 0o660), ("dma_heap/system", 0, 0o600)):
            os.mknod(tmp_path / name, mode | stat.S_IFCHR, os.makedev(1, 3))
            os.chown(tmp_path / name, 0, group)
            os.chmod(tmp_path / name, mode)
    except PermissionError:
        pytest.skip("only root makes devices")
    assert closed(f"{tmp_path}/video0") == [] == closed(f"{tmp_path}/video7")
    assert closed(f"{tmp_path}/video1") == ["video1"]
    assert closed("0", "csi") == ["dma_heap/system", "video1"]
    assert devices.rule([], MARK) == ""
    assert devices.rule(["video1", "dma_heap/system"], MARK) == (
        f'{MARK}\nSUBSYSTEM=="dma_heap", GROUP="video", MODE="0660"\n'
        'SUBSYSTEM=="video4linux", GROUP="video", MODE="0660"\n'
    )


def test_what_sources_need():
    assert devices.needed(parse_input("0")) == devices.needed(parse_input("/dev/v4l/by-id/x")) == devices.CAMERA
    assert devices.needed(parse_input("csi://0")) == devices.MODULE
    assert devices.needed(parse_input("rtsp://h/x")) == devices.needed(parse_input("clip.mp4")) == ()
    assert devices.needed(parse_input("gst:videotestsrc")) is None
