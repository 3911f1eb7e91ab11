"""The door: HTTP in, a durable spool, Kafka out."""
