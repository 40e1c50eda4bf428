"""A graph to a plan: the schedule of every node, the place of every tensor, the modelled latency of both."""
