"""What outlives a case and for how long: retention and holds. The rest of governance comes on top of these records."""
