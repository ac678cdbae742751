"""Speech to text: words made of a stream's own sound, with times on the sound's clock.

Nothing here starts a thread or a process, reads a clock or loads an engine before it is asked for.
"""
