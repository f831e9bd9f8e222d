"""From raw files to batches.

    readers -> ingest -> Events -> (protocols: cleaning, split, encoding) -> Vocabulary, Sessions, Cases -> batches

Each step is a function of a table or of arrays. The protocol decides which steps run, and in which order.
"""
