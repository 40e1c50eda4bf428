"""Image, with the fields of sensor_msgs/msg/Image."""

from types import SimpleNamespace


class Image:
    def __init__(self, encoding: str, width: int, height: int, step: int, data: bytes, t_s: float) -> None:
        self.encoding, self.width, self.height, self.step, self.data = encoding, width, height, step, data
        sec = int(t_s)
        stamp = SimpleNamespace(sec=1700000000 + sec, nanosec=round((t_s - sec) * 1e9))
        self.header = SimpleNamespace(stamp=stamp)
