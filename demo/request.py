"""What the user asked the demo for, checked as far as the options alone can tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tsm_edge.errors import UsageError

from .sources.uri import Input, numbered
from .sources.wanted import Wanted

MOST_INPUTS = 16


@dataclass(frozen=True)
class Request:
    """The options of ``tsm-edge demo`` by their names; None where not given."""

    input: tuple[Input, ...] = ()
    camera: Input | None = None
    video: Input | None = None
    images: Path | None = None
    size: tuple[int, int] | None = None
    rate: float | None = None
    format: str | None = None
    rotate: int = 0
    give_up: float | None = None
    bundle: Path | None = None
    headless: bool = False
    loop: bool = False
    serve: str | None = None
    token: str | None = None
    token_file: Path | None = None
    on_change: str | None = None
    on_change_idle: bool = False
    min_confidence: float | None = None
    webhook: str | None = None
    webhook_secret_file: Path | None = None
    mqtt: str | None = None
    mqtt_password_file: Path | None = None
    mqtt_ca: Path | None = None
    mqtt_discovery: str | None = None
    record: Path | None = None
    json: bool = False
    fps: float | None = None
    max_frames: int | None = None
    mirror: bool = False
    bgr: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("input", "camera", "video", "images") if getattr(self, name) not in (None, ())]
        if len(given) > 1:
            raise UsageError(
                "The demo plays one source at a time.",
                found=" and ".join(f"--{name}" for name in given),
                allowed="one of --input SOURCE, --camera N, --video FILE, --images DIR; camera 0 without any",
            )
        self._check_inputs()
        others = [source.name for source in self.sources if source.kind != "file"]
        if self.loop and (others or self.headless):
            raise UsageError(
                "Only a video file that is played by its clock can be repeated.",
                found="--loop " + (f"with {others[0]}, without a video file" if others else "--headless"),
                allowed="--loop with --input FILE, in a window or with --serve",
            )
        if self.token is not None and self.serve is None:
            raise UsageError(
                "A token is for the viewers of a page.",
                found="--token without --serve",
                allowed="--serve HOST:PORT --token TOKEN",
            )
        self._check_sinks()
        if (
            self.record is not None
            and any(
                recording.resolve() == source.path.resolve()
                for recording in self.recordings
                for source in self.sources
                if source.kind == "file"
            )
        ):
            raise UsageError(
                "The recording would replace the video it is made from.",
                found=f"the source and --record are both '{self.record}'",
                allowed="another name for the recording",
            )

    def _check_sinks(self) -> None:
        """An option that belongs to a sink needs the sink."""
        for value, option, needs in (
            (self.on_change_idle or None, "--on-change-idle", "on_change"),
            (self.token_file, "--token-file", "serve"),
            (self.webhook_secret_file, "--webhook-secret-file", "webhook"),
            (self.mqtt_password_file, "--mqtt-password-file", "mqtt"),
            (self.mqtt_ca, "--mqtt-ca", "mqtt"),
            (self.mqtt_discovery, "--mqtt-discovery", "mqtt"),
        ):
            if value is not None and getattr(self, needs) is None:
                sink = f"--{needs.replace('_', '-')}"
                raise UsageError(
                    f"{option} needs {sink}.",
                    found=f"{option} without {sink}",
                    allowed=f"{option} together with {sink}",
                )
        listens = (self.on_change, self.webhook, self.mqtt, self.serve, self.json or None)
        if self.min_confidence is not None and not any(sink is not None for sink in listens):
            raise UsageError(
                "There is nobody who could be told.",
                found="--min-confidence without a sink",
                allowed="--min-confidence with --on-change, --webhook, --mqtt, --serve or --json",
            )

    def _check_inputs(self) -> None:
        if len(self.sources) > MOST_INPUTS:
            raise UsageError(
                "That are too many inputs for one process.",
                found=len(self.sources),
                allowed=f"at most {MOST_INPUTS}",
            )
        for number, source in enumerate(self.sources):
            self.wanted.check(source)
            if source.kind not in ("file", "folder", "rtsp", "http") and source in self.sources[:number]:
                raise UsageError(
                    "A camera can be opened once.", found=f"--input {source.name} twice", allowed="different inputs"
                )

    @property
    def sources(self) -> tuple[Input, ...]:
        """What is played: camera 0 where nothing was asked for."""
        if self.images is not None:
            return (Input("folder", str(self.images), str(self.images)),)
        return self.input or (self.camera or self.video or numbered(0),)

    @property
    def recordings(self) -> tuple[Path, ...]:
        """The files of ``--record``, one for each source: OUT.mp4, or OUT-1.mp4, OUT-2.mp4 and so on."""
        if self.record is None:
            return ()
        if len(self.sources) == 1:
            return (self.record,)
        names = (f"{self.record.stem}-{number}{self.record.suffix}" for number in range(1, len(self.sources) + 1))
        return tuple(self.record.with_name(name) for name in names)

    @property
    def wanted(self) -> Wanted:
        """What is asked of the source."""
        return Wanted(self.size, self.rate, self.format, self.rotate)
