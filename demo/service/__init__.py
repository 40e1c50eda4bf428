"""``tsm-edge service``: the demo as a service of systemd."""
