"""Data sets on disk: one file a layout, the table of them, and what every reader yields."""
