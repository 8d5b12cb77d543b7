"""The seed's Client and Capture modules: on ``snap`` take a picture and PUT it to snippets/1/.

What the API answers is sent to the others, so that whoever asked can see the labels.
"""

import sys
import time

import cv2
import requests
from websockets.sync.client import connect

SERVER, SOURCE, API = sys.argv[1:]


def capture() -> None:
    """Takes a picture."""
    cam = cv2.VideoCapture(SOURCE)
    time.sleep(2)
    _, frame = cam.read()
    cv2.imwrite("opencv_frame_0.png", frame)
    cam.release()


def upload() -> str:
    """Sends it."""
    with open("opencv_frame_0.png", "rb") as file:
        return requests.put(f"{API}/snippets/1/", files={"image": file}, timeout=30).text


with connect(SERVER) as websocket:
    print("listening", flush=True)
    for message in websocket:
        if message == "snap":
            capture()
            websocket.send(upload())
