"""The jobs: each sees ports only, so that it runs on any adapter."""
