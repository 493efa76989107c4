"""Consumer groups: the classic protocol, the one of KIP-848, and the offsets that groups commit."""
