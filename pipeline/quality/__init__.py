"""What can be said of a whole dataset beyond its rows: copies, coverage, bounds, distances, privacy."""
