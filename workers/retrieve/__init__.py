"""Bring sources that lie in archives to the store."""
