"""A broker that speaks the Apache Kafka protocol, on Trio, over a segmented commit log."""
