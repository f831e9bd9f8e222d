"""The messages of the API: what is in them, their limits, and how they are read."""
