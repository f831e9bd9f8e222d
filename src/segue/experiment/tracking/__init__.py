"""Trackers of a fit: curves in the folder of the run, TensorBoard, MLflow."""
