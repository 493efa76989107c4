"""Apache Kafka's wire protocol, sans-IO: bytes in, objects out."""

from .errors import EncodeError, ErrorCode, ProtocolError, UnsupportedVersion

__all__ = ["EncodeError", "ErrorCode", "ProtocolError", "UnsupportedVersion"]
