"""`kbroker group` and `kbroker txn`: what a person asks of a broker, any that speaks Kafka's protocol, over a socket.

These are clients, not parts of the broker: no Trio, blocking calls, one connection to each broker that is needed.

failures.py        what can go wrong, in one line each
connection.py      one connection: the versions both sides know, a request, its answer
cluster.py         the brokers behind it: who coordinates, who leads; trying again for a few seconds
groups.py          groups and their members, of both protocols
offsets.py         positions in logs, and those that groups committed
reset.py           where `reset-offsets` moves a group to
transactions.py    transactions, as coordinators and as partitions know them
table.py           columns
group_command.py   `kbroker group`: arguments and what is printed
txn_command.py     `kbroker txn`
options.py         what both have in common: --bootstrap, --json, the exit status
"""
