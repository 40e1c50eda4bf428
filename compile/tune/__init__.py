"""Parameters of schedules by measurement."""
