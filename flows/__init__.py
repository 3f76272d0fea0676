"""Prefect flows: they sequence the pipeline's verbs, and nothing else."""
