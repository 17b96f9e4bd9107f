"""Marks where `python3 -m unittest` looks for cases; the tests themselves are a package of Rust."""
