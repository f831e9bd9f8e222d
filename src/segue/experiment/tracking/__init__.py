"""Where the course of a run is written down: curves in its folder, and TensorBoard or MLflow where it is asked for."""
