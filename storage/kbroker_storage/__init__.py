"""A segmented, append-only commit log. Files through one door; no Trio, no Kafka error codes."""
