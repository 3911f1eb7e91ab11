"""How Recount is put on machines."""
