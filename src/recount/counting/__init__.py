"""Events cut into visits and folded into rollups; rollups merged. The only code that counts."""
