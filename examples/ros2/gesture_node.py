"""A node of ROS 2: images in, gestures out. README.md beside it says how far it was tried."""

import json

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String

import tsm_edge

#: encoding of ROS -> format of tsm-edge and bytes a pixel
ENCODINGS = {"bgr8": ("bgr", 3), "rgb8": ("rgb", 3), "mono8": ("grey", 1), "yuv422_yuy2": ("yuyv", 2)}


class GestureNode(Node):
    """One camera: its stream, its sampler and its decision."""

    def __init__(self) -> None:
        super().__init__("gesture_node")
        bundle = self.declare_parameter("bundle", "").get_parameter_value().string_value
        self.model = tsm_edge.open(bundle)
        self.stream, self.sampler = self.model.stream(), self.model.sampler()
        self.smoother = self.model.smoother()
        self.told = ""  # the gesture whose end was not published yet
        self.events = self.create_publisher(String, "events", 10)
        self.create_subscription(Image, "image", self.see, qos_profile_sensor_data)

    def see(self, image: Image) -> None:
        """Step on an image, if its time says so."""
        if image.encoding not in ENCODINGS:
            self.get_logger().error(f"encoding {image.encoding}; allowed: {', '.join(ENCODINGS)}", once=True)
            return
        format, size = ENCODINGS[image.encoding]
        rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)[:, : image.width * size]
        frame = rows if size == 1 else rows.reshape(image.height, image.width, size)
        t_s = image.header.stamp.sec + image.header.stamp.nanosec * 1e-9
        for _ in range(self.sampler.take(t_s)):
            decision = self.smoother.push(self.stream.step(frame, format=format))
            if decision.changed:
                self.tell(decision, t_s)

    def tell(self, decision: object, t_s: float) -> None:
        """Publish a gesture, or the end of one."""
        ended, self.told = (self.told, "") if decision.idle else ("", decision.label)
        if decision.idle and not ended:
            return
        record = {
            "schema": 1,
            "kind": "idle" if decision.idle else "gesture",
            "label": decision.label,
            "index": int(decision.index),
            "probability": round(float(decision.probability), 4),
            "ended": ended,
            "t_s": round(t_s, 3),
        }
        self.events.publish(String(data=json.dumps(record)))


def main() -> None:
    """Run the node until it is ended."""
    rclpy.init()
    node = GestureNode()
    try:
        rclpy.spin(node)
    finally:
        node.model.close()
        node.destroy_node()


if __name__ == "__main__":
    main()
