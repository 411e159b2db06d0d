"""Loggers of a run: the outbox, the process that sends, and the loggers that come with vaezoo.

Nothing of it is inside a trial. The run writes down which trials began and ended; a process for
each logger follows their folders and hands on what is there. Whatever a logger does, raising,
hanging or dying, happens to that process.
"""
