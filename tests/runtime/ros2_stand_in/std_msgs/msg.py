"""String, with the field of std_msgs/msg/String."""


class String:
    def __init__(self, data: str = "") -> None:
        self.data = data
