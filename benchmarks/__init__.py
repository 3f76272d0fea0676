"""Programs that time and score; not part of the package."""
