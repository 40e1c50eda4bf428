"""The schedules of 8-bit operators (`ir/ops/int8.py`) for CPUs with NEON. Their numbers are those of
`compile/quantize/scheme.py`, to the bit.
"""
