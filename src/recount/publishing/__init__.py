"""The one way numbers become visible."""
