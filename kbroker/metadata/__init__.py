"""The metadata log, and the image of the cluster that replaying it gives."""
