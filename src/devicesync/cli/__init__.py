"""The commands: arguments → assembly → a document and a text. Start with main.py, which prints what they return."""
