"""The loads under which sigkill.py kills a broker, and the loop of its kills."""
