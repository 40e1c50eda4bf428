"""Training of what 8 bits lose: `tsm-edge train --quantize`.

distil trains a network whose fused graph is rounded as the kernels round · command reads the clips, calibrates, trains
and writes the weights with their ranges.
"""
