"""A stand-in of rclpy as far as a node with one image topic needs it: `spin` gives it the frames of a file."""

import os

import numpy as np
from sensor_msgs.msg import Image

from rclpy import node


def init() -> None:
    """Nothing to begin."""


def spin(spun: "node.Node") -> None:
    """Publish the frames of ROS_FRAMES, 24 a second, in ROS_ENCODING, with ROS_PAD bytes behind each row."""
    encoding, pad = os.environ["ROS_ENCODING"], int(os.environ["ROS_PAD"])
    topic, callback = spun.subscription
    assert topic == "image"
    for number, frame in enumerate(np.load(os.environ["ROS_FRAMES"])):
        rows = np.pad(frame.reshape(len(frame), -1), ((0, 0), (0, pad)))
        callback(Image(encoding, frame.shape[1], len(frame), rows.shape[1], rows.tobytes(), number / 24))
