"""Digests of a store, bucket by bucket, in a small file: two stores are compared by two files, wherever they are."""
