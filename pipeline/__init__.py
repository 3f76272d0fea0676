"""ECG Foundry: synthetic 12-lead ECG datasets, generated, measured, filtered and released, exactly reproducibly.

Three verbs are the whole of the Python interface:

    signals_uv = pipeline.generate([0, 1, 2])       # (3, 8, 5000) int16
    table = pipeline.measure(signals_uv)            # pyarrow.Table, one row a record
    dataset = pipeline.open_dataset("dataset")      # a finished dataset folder

Everything here is synthetic and not for clinical use.
"""

from pipeline.api import generate, measure, open_dataset

__all__ = ["generate", "measure", "open_dataset"]
