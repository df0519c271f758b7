"""Data sets: readers of layouts on disk, each yielding annotated samples."""
