"""Results: views of records; tables, plots, statistics and pages, which recompute nothing."""
