"""The ten data operations: what each asks of DynamoDB, and what it does with the caches."""
