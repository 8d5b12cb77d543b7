"""Engines elsewhere: models that another program runs, at an address.

They speak the Open Inference Protocol, version 2, over REST, as KServe, Triton, OpenVINO Model
Server and MLServer do. A picture is decoded, and made into the tensor that the engine takes, in a
child process like any other; only that tensor travels. :mod:`.card` is what is known of a model
there, :mod:`.protocol` what is said, with no I/O, :mod:`.engine` who says it, and :mod:`.engines`
those of a server.
"""
