"""The peer: the seed to the letter, as a beginner would write it from its README.

An echo server, a client that takes a picture when it hears ``snap``, and a Django REST framework
server with ``snippets/1/``. It runs in an environment of its own.
"""
