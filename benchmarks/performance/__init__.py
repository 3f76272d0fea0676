"""What the pipeline costs: time, memory and disk, beside a peer pipeline timed in the same run."""
