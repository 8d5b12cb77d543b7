"""Teaching at work: pictures and labels in, versions with evidence out, and which of them answer.

What is learnt is in :mod:`objectclassification.classification.head`; here is what a server does
around it: it reads rows, has children look at what no model has seen yet, fits on a thread, and
never on the loop.
"""

from objectclassification.teaching.teacher import Teacher

__all__ = ["Teacher"]
