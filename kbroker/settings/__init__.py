"""Every setting is declared once here, in Kafka's words: parsing, DescribeConfigs and the docs page read it.

`setting.py` says what a setting is; `broker_*.py`, `topic.py`, `group.py` and `client_metrics.py` hold the rows, and
`tables.py` finds a row by name. `kbroker.config` is what the rest of the broker uses. `docs/generate.py`
rewrites docs/configuration.md.
"""
