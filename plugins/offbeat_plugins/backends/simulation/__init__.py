"""What the simulated backend is made of: curves, the heap, faults, and what a journal says of earlier sessions."""
