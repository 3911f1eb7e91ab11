"""Real time: Kafka to minute rollups of the last hours in memory, served over HTTP."""
