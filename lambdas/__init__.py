"""The two Lambdas behind the topics: raw batches into DynamoDB, operational metrics into CloudWatch."""
