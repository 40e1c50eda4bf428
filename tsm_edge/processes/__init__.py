"""Processes: children that end with their command, signals that end a command cleanly, C compilers to call."""
