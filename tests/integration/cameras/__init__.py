"""Real cameras for the tests: RTSP by GStreamer, MJPEG by FFmpeg, stills by a small HTTP server."""
