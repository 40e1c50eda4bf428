"""Target files: data only, one TOML is one target. ``tsm_edge.target`` is the only reader."""
