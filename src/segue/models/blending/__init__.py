"""What a blend adds up, and how its weights are chosen."""
