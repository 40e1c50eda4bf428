"""The core's verbs, one file each; loaded by ``tsm_edge.cli`` when they are called."""
