"""Strangers at random at the API's sockets, and an honest client beside them.

requests.py draws what a stranger asks, visit.py what it does on a connection, answers.py says what may be answered, honest.py is the
client that is to be served, test_strangers.py lets a crowd of them live, and looks at what is left.
"""
