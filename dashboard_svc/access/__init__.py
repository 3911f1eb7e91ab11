"""Who may ask what of the API, and how often."""
