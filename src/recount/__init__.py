"""The shared contract: what an event is, how it is interpreted, how it is counted, where it is kept."""
