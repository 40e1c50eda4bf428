"""Node: parameters from the environment, what is published on standard output."""

import os
from collections.abc import Callable
from types import SimpleNamespace


class _Publisher:
    def publish(self, message: object) -> None:
        print(message.data, flush=True)


class Node:
    """The members that examples/ros2 uses, with the signatures of rclpy."""

    def __init__(self, name: str) -> None:
        self.name = name

    def declare_parameter(self, name: str, default: str) -> SimpleNamespace:
        value = SimpleNamespace(string_value=os.environ.get(f"ROS_PARAMETER_{name}", default))
        return SimpleNamespace(get_parameter_value=lambda: value)

    def create_publisher(self, kind: type, topic: str, depth: int) -> _Publisher:
        assert (kind.__name__, topic, depth) == ("String", "events", 10)
        return _Publisher()

    def create_subscription(
        self, kind: type, topic: str, callback: Callable[[object], None], qos: str
    ) -> None:
        assert kind.__name__ == "Image" and qos == "sensor data"
        self.subscription = topic, callback

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(error=lambda text, once: print("error", text, once))

    def destroy_node(self) -> None:
        print("destroyed")
