"""Metrics: what each needs of an image, how it adds up, and what tables call it; one file each."""
