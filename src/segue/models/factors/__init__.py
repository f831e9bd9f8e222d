"""What ALS and BPR share: sessions as a sparse matrix, the run of implicit's trainers, and the fold-in."""
