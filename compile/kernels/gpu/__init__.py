"""Parts of a GPU kernel."""
