"""What the bus says, brought to the hub: the event that closes the loop."""

from __future__ import annotations

from typing import Any

from objectclassification.bus import (
    CameraReserved,
    Changed,
    ClassificationFailed,
    Message,
    PictureClassified,
    PicturesDeleted,
    PicturesLabelled,
    PicturesRestored,
    PictureUploaded,
)
from objectclassification.hub.runner import HubRunner


def announce(runner: HubRunner, message: Message) -> None:
    """Tells the hub, and whoever watches, of a message of the bus."""
    if isinstance(message, CameraReserved):
        runner.know(message.camera)
        return
    if isinstance(message, Changed):
        _tell_of_changed(runner, message)
        return
    snap, camera = message.snap, message.camera
    answers: dict[str, str | None] = {}
    match message:
        case PictureUploaded():
            picture_id, name, labels = message.picture.id, "uploaded", []
            if snap is not None and camera is not None and message.shown:
                runner.uploaded(snap, camera, message.picture)
        case PictureClassified():
            picture_id, name = message.picture_id, "classified"
            labels = [[found.label, found.score] for found in message.found.predictions]
            answers = {answer.head: answer.class_ for answer in message.found.answers}
            if snap is not None and camera is not None and message.shown:
                runner.classified(snap, camera, message.found)
        case ClassificationFailed():
            picture_id, name, labels = message.picture_id, "classify_failed", []
            if snap is not None and camera is not None and message.shown:
                runner.classify_failed(snap, camera, message.detail)
    data: dict[str, Any] = {"picture": picture_id, "camera": camera, "snap": snap, "labels": labels}
    if answers:
        data["answers"] = answers
    runner.publish("pictures", name, data)


def _tell_of_changed(runner: HubRunner, message: Changed) -> None:
    names = {PicturesLabelled: "labelled", PicturesDeleted: "deleted", PicturesRestored: "restored"}
    said = {"said": message.said} if isinstance(message, PicturesLabelled) else {}
    data = {"pictures": message.picture_ids, **said}
    runner.publish("pictures", names[type(message)], data)
