"""What can be asked of what is published and live, and how it is answered."""
