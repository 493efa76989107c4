"""Apache Kafka's wire protocol, sans-IO: bytes in, objects out."""
