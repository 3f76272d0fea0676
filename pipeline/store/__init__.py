"""What lies on disk: signals in Zarr, tables in Parquet, commit entries in the ledger."""
