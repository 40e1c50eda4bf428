"""A bundle against its reference, number by number."""
