"""How a kernel is written: TIR builders, register tiles, tilings. They know no schedule."""
