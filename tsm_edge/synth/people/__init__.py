"""Three-dimensional people before a camera: bodies, how they move, what they wear, where they are, and the camera."""
