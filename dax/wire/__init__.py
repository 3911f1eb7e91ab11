"""Bytes of the DAX protocol to and from the JSON forms of DynamoDB; no input or output here."""
