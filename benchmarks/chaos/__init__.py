"""Chaos: every part of a running pipeline is killed, frozen, delayed and lied to under load."""
