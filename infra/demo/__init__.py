"""The compose file's topology on one machine without containers, and what it stands: `python -m infra.demo`."""
