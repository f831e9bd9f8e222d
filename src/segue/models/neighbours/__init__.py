"""Models that score by the most similar of the recent sessions, on one VMIS index."""
