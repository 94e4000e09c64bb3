"""Bulk embedding: any number of pictures to Parquet shards, restartable, the same for any number of processes."""

from hf_crossspec.recognition.bulk.folder import BulkOptions
from hf_crossspec.recognition.bulk.run import BulkSummary, embed_in_bulk

__all__ = ["BulkOptions", "BulkSummary", "embed_in_bulk"]
