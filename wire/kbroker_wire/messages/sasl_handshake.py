"""SaslHandshake (key 17): the client names the SASL mechanism it wants, the broker says which ones it has (KIP-43).

v0  raw token frames without Kafka's headers follow
v1  SaslAuthenticate requests follow (KIP-152)
"""

from ..schema import Message, array, int16, string


class SaslHandshakeRequest(Message, key=17, versions="0-1", flexible=None):
    mechanism: str = string()


class SaslHandshakeResponse(Message, key=17, versions="0-1", flexible=None):
    error_code: int = int16()
    mechanisms: list[str] = array(string)
