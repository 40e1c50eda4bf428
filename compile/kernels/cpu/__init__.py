"""Parts of a CPU kernel."""
