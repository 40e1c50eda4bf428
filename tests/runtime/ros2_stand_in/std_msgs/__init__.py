"""Messages of the basic types."""
