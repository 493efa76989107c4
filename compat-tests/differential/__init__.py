"""The same requests to two brokers, and every difference between their answers. By hand: `python -m differential`."""
