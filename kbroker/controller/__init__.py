"""The controller: who decides what goes into the metadata log."""
