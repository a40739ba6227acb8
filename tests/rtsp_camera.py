"""A camera over RTSP for the tests: real RTSP, H.264, by GStreamer. Run by the system's Python, which has its bindings.

/usr/bin/python3 rtsp_camera.py PORT FOLDER FPS: shows FOLDER/00000.jpg and the following, again and again, at
rtsp://127.0.0.1:PORT/gate. Writes "ready" when it listens.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 -- the versions have to be asked for first

Gst.init(None)
port, folder, fps = sys.argv[1:4]
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch(
    f"( multifilesrc location={folder}/%05d.jpg loop=true caps=image/jpeg,framerate={fps}/1 ! jpegdec ! videoconvert "
    f"! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=veryfast bitrate=1500 key-int-max={fps} "
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
server.get_mount_points().add_factory("/gate", factory)
assert server.attach(None), f"port {port} is taken"
sys.stdout.write("ready\n")
sys.stdout.flush()
GLib.MainLoop().run()
