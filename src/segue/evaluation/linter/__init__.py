"""Looks for what makes a result doubtful: leaks in a prepared log, scores that say nothing, figures that cannot be."""
