"""Adapters to what stands outside: one adapter, one file. They know ports and values, never trades."""
