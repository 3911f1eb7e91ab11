"""Dagster's side: hours are archived, folded, checked and published."""
