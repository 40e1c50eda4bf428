"""What the user asked the demo for, checked as far as the options alone can tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tsm_edge.errors import UsageError

from .source_names import Device


@dataclass(frozen=True)
class Request:
    """The options of ``tsm-edge demo`` by their names; None where not given."""

    camera: Device | None = None
    video: Path | Device | None = None
    images: Path | None = None
    bundle: Path | None = None
    headless: bool = False
    loop: bool = False
    serve: str | None = None
    token: str | None = None
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
        given = [name for name in ("camera", "video", "images") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(
                "The demo plays one source at a time.",
                found=" and ".join(f"--{name}" for name in given),
                allowed="one of --camera N, --video FILE, --images DIR; camera 0 without any",
            )
        if self.loop and (not isinstance(self.video, Path) or self.headless):
            raise UsageError(
                "Only a video file that is played by its clock can be repeated.",
                found="--loop " + ("--headless" if isinstance(self.video, Path) else "without a file in --video"),
                allowed="--loop with --video FILE, in a window or with --serve",
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
            and isinstance(self.video, Path)
            and self.record.resolve() == self.video.resolve()
        ):
            raise UsageError(
                "The recording would replace the video it is made from.",
                found=f"--video and --record are both '{self.video}'",
                allowed="another name for the recording",
            )

    def _check_sinks(self) -> None:
        """An option that belongs to a sink needs the sink."""
        for value, option, needs in (
            (self.on_change_idle or None, "--on-change-idle", "on_change"),
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

    @property
    def file(self) -> Path | None:
        """The video file, if one is played."""
        return self.video if isinstance(self.video, Path) else None

    @property
    def device(self) -> Device | None:
        """The camera, if one is read: camera 0 where nothing else was asked for."""
        if isinstance(self.video, Device):
            return self.video
        return None if self.video or self.images else self.camera or Device.numbered(0)
