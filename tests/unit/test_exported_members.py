"""The public names, locked: a change here is a change for everybody who uses the package."""

from __future__ import annotations

import inspect

import pytest

import objectclassification
from objectclassification import errors


def test_the_package_has_four_names() -> None:
    assert objectclassification.__all__ == ["Capture", "Classifier", "Client", "Server"]


@pytest.mark.parametrize("name", objectclassification.__all__)
def test_each_is_a_documented_class(name: str) -> None:
    member = getattr(objectclassification, name)
    assert inspect.isclass(member)
    assert member.__name__ == name
    assert member.__doc__
    assert name in dir(objectclassification)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        objectclassification.Klient  # noqa: B018 - looking it up is the test


def test_the_errors_are_these() -> None:
    names = {
        name
        for name, member in vars(errors).items()
        if inspect.isclass(member) and issubclass(member, errors.ObjectClassificationError)
    }
    assert names == {
        "AuthError",
        "BadMessage",
        "BlurredFrame",
        "Busy",
        "CaptureError",
        "ChildDied",
        "ConfigurationError",
        "Conflict",
        "CoveredFrame",
        "DarkFrame",
        "DataFolderUnusable",
        "DiskFull",
        "FaultyFrame",
        "Forbidden",
        "FrozenFrame",
        "ImageError",
        "KeyReused",
        "MissingExtra",
        "ModelError",
        "NewerDatabase",
        "NotAnImage",
        "NotFound",
        "ObjectClassificationError",
        "OverexposedFrame",
        "RateLimited",
        "RequestError",
        "ServerStopping",
        "ServerUnreachable",
        "SourceBusy",
        "SourceStalled",
        "SourceUnavailable",
        "StaleFrame",
        "StoreError",
        "TimedOut",
        "TooLarge",
        "TooManyPixels",
        "Unauthorized",
        "Undecodable",
        "UploadError",
        "UploadFailed",
        "UploadRefused",
    }


def test_every_error_is_in_the_tree_of_the_docstring() -> None:
    members = [
        m for m in vars(errors).values() if inspect.isclass(m) and m.__module__ == errors.__name__
    ]
    assert errors.__doc__
    missing = [m.__name__ for m in members if m.__name__ not in errors.__doc__]
    assert not missing
