"""Where run records are kept: tables as data, and the databases that hold them.

``schema``: the tables, by version. ``sql``: the statements made of them. ``backend``: what a database can be asked.
``sqlite``: a file of a run directory, without further packages. ``alchemy``: a database named by a URL, of many run
directories. ``place``: which of them a run directory uses. :mod:`spacec.search.record` writes and reads runs on top.
"""
