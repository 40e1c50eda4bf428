"""Code and plan to a bundle's files: the plan as C, and the C toolchain."""
