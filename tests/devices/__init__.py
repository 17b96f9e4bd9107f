"""Devices to test against that share no code with the drivers."""
