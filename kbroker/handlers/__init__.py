"""One file per API: check the right, ask one part, fill the response."""
