"""Every way to run a network, measured side by side. Needs the ``compare`` extra.

Nothing is imported here: each engine is measured in a process that holds its library alone.
"""
