"""The quality of service of sensors: the newest message counts."""

qos_profile_sensor_data = "sensor data"
