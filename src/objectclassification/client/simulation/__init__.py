"""A fleet of simulated cameras in one process, for who plans one, and for our own load tests.

They speak what the camera program speaks, over a WebSocket each, and answer every snap with the
same prepared picture. There is no task, no thread and no queue for a camera.
"""
