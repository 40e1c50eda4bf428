"""When to stop measuring: enough runs and enough seconds, but never longer than the cap."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError


@dataclass(frozen=True)
class StopRule:
    """Go on until ``min_runs`` steps of each runner and ``min_secs`` seconds; after ``max_secs`` stop anyway."""

    min_runs: int = 50
    min_secs: float = 2.0
    max_secs: float = 60.0

    def __post_init__(self) -> None:
        if self.min_runs < 1:
            raise UsageError("Bad --min-runs.", found=self.min_runs, allowed="1 or more")
        if not 0 <= self.min_secs <= self.max_secs:  # NaN fails this, too
            raise UsageError(
                "--min-secs and --max-secs do not fit.",
                found=f"{self.min_secs} and {self.max_secs}",
                allowed="0 <= min-secs <= max-secs",
            )

    def ended_by(self, runs: int, seconds: float) -> str:
        """Return "" to go on, "enough" when both minima are reached, "max-secs" when the cap came first."""
        if runs >= self.min_runs and seconds >= self.min_secs:
            return "enough"
        return "max-secs" if seconds >= self.max_secs else ""
