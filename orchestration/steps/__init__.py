"""The steps of an hour as plain functions: what they need comes in as arguments, and they know no Dagster."""
