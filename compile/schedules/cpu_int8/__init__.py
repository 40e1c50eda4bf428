"""Schedules of 8-bit operators (`ir/ops/int8.py`) for CPUs, bit-exact to `compile/quantize/integer.py`."""
