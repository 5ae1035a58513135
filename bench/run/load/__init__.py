"""A case under load: who asks when, for what, and what the answers say of the service.

::

    utterances + arrivals -> generator (closed | open | speakers) -> outcomes -> points -> Load
"""
