"""Operator schedules: one folder is one family, one file in it one operator. `registry` finds them."""
