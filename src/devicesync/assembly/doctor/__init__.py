"""What `doctor` and `config --check` find out. Start with checkup.py."""
