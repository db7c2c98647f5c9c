"""Enrichment in Spark: a function for DataFrame.mapInArrow, over a column `value` with the events.

    from spark import enrich
    telemetry.mapInArrow(enrich, "value binary").writeStream.format("kafka")…

Each Python worker opens one Enricher and keeps it, so what it remembers lasts from batch to batch. Ship REDIS_URL by
`spark.executorEnv.REDIS_URL`. The function needs pyarrow and devicesync; Spark only calls it.
"""

import functools
import os
from collections.abc import Iterator

import pyarrow as pa

import devicesync


@functools.cache
def enricher() -> devicesync.Enricher:
    """The worker's own."""
    return devicesync.Enricher(os.environ["REDIS_URL"])


def enrich(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches with a binary column `value` in, the same with enriched events out."""
    for batch in batches:
        events = batch.column("value").to_pylist()
        yield pa.RecordBatch.from_pydict({"value": pa.array(enricher().enrich_batch(events), pa.binary())})
