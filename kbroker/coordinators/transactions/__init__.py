"""Transactions: who produces under a transactional id, and what its transaction touches."""
