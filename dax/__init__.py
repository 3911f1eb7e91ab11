"""A DAX node: speaks the wire protocol of Amazon DynamoDB Accelerator in front of any DynamoDB endpoint."""
