"""Files of trained weights: reading them without trust, their metadata, and the network that they fit."""
