"""The refused records: port.py states what is kept of one, sqlite.py and kafka.py keep it."""
