"""From a configuration to a leaderboard and a folder of models."""
