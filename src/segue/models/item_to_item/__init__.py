"""Models that look up what follows the last item of the current session."""
