"""The recipe that leads from a log to a leaderboard and a folder of artifacts."""
