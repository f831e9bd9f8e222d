"""Models that look up what follows the last item of the running session."""
