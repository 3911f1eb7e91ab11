"""What is wrong, told once to whoever should know, and told once more when it is over."""
