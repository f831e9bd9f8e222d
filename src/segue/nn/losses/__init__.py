"""Losses: functions of scores, of a step with its negatives, over all items, and their configuration."""
