"""Measuring a bundle, alone or beside other runtimes, in a way that a failed run cannot print a time.

figures, stop: pure arithmetic over times · agreement: pure comparison of outputs · runner, edge, peers: what is timed ·
turns: the interleaved loop · per_op, ceiling, roofline: where the time of a step goes · session: all of it in order ·
summary: what is printed.
"""
