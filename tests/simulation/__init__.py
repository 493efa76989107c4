"""A whole broker under one seed: simulated disk and network, clients of every kind, crashes, and a judge of it all."""
