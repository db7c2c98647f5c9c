"""What a process spent: by the clock, and of the processor."""

import time


class Clock:
    """Starts with the first records in hand."""

    def start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, events: int) -> dict[str, float]:
        """Events a second, and µs of this process's own CPU time per event."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"events": events, "rate": events / wall, "cpu_us": cpu / events * 1e6}
