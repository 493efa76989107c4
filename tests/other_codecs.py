"""The record formats and codecs of other projects, to compare with.

kafka-python reads its message definitions, at import, in a way that newer Pythons warn of.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import aiokafka.codec as aiokafka_codec
    import kafka.codec as kafka_codec
    from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
    from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBatchBuilder
    from aiokafka.record.legacy_records import LegacyRecordBatchBuilder as AiokafkaLegacyBuilder
    from kafka.record._crc32c import crc as kafka_crc32c
    from kafka.record.default_records import DefaultRecordBatch as KafkaBatch
    from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaBatchBuilder
    from kafka.record.legacy_records import LegacyRecordBatchBuilder as KafkaLegacyBuilder
    from kafka.record.util import decode_varint as kafka_decode_varint
    from kafka.record.util import encode_varint as kafka_encode_varint

__all__ = [
    "AiokafkaBatch",
    "AiokafkaBatchBuilder",
    "AiokafkaLegacyBuilder",
    "KafkaBatch",
    "KafkaBatchBuilder",
    "KafkaLegacyBuilder",
    "aiokafka_codec",
    "kafka_codec",
    "kafka_crc32c",
    "kafka_decode_varint",
    "kafka_encode_varint",
]
