"""Training batches; the batch at (seed, epoch, step) is a pure function of these three."""
