"""A raw Kafka client for tests: any API in any version, and bytes that no client would send.

It stands on the message definitions that the installed kafka-python carries, so it shares no code with the broker
under test: `definitions` loads them, `codec` encodes and decodes, `connection` is one blocking socket, `batches`
builds record batches, broken ones too.
"""
