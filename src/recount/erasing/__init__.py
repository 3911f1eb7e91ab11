"""Erasure: what an order takes, and how everything that holds it is rewritten."""
