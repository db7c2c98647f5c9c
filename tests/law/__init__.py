"""The law against its specification."""
