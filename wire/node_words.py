"""Every text that a node says for people: its key in the station's language files, and its English.

A node that says something sends the text, and beside it the key and the values (`Worded`): whoever shows it has words for
the key in the person's language, and shows the text where it has none, as that of an older node, or of a newer one. Nothing
can be said that is not in this table: `NodeText` is made by `node_text` alone, and what goes out as a problem or a reason is
of that type. Tests hold the language files, and every call in the code, to it.

A value may be such a text itself ("unchecked for 70 s: no fix"). Its key and values then stand beside it by longer names, as
the fleet has it: the value `why`, with `why|key` and `why|seconds`. So a value stays a text or a number for whoever does not
look for more.
"""

from __future__ import annotations

import msgspec

Value = str | float | int

PREFIX = "node_says."           # of the keys in the language files; the only ones that a node may name
OWN_LIMIT = 2_000               # characters of a text that goes to the station: some quote what a camera has said

NODE_WORDS: dict[str, str] = {
    "both": "{first}; {second}",
    # Whether its sensor sees
    "no_picture": "no picture comes",
    "no_picture_yet": "no picture yet",
    "no_frame": "no frame for {seconds} s",
    "other_shape": "{file}: camera.lens: calibrated for {lens_width} x {lens_height} pixels, and the pictures have "
    "{width} x {height}. Calibrate for this picture, or give the video that belongs to this camera.",
    "frozen": "the picture has not changed at all for {seconds} s",
    "dark": "the picture is dark, and nothing shows in it",
    "too_dark": "it is too dark: nothing of the view is left",
    "night": "night, and a camera for the day",
    "unsharp": "nothing in the picture is sharp",
    "out_of_focus": "out of focus, or dirt or water on the lens: fine detail is gone",
    "washed_out": "washed out: the sun or a lamp shines into the lens",
    "covered": "covered, or in fog so thick that nothing shows",
    "other_view": "the picture no longer shows its reference view: the camera was turned, or the scene has changed",
    "turned": "the camera was turned by {degrees} degrees ({sides})",
    "side_left": "left",
    "side_right": "right",
    "side_up": "up",
    "side_down": "down",
    "side_left_up": "left and up",
    "side_left_down": "left and down",
    "side_right_up": "right and up",
    "side_right_down": "right and down",
    "exercise_blind": "exercise: blind",
    "exercise_covered": "exercise: covered",
    "exercise_dark": "exercise: dark",
    "exercise_defocused": "exercise: defocused",
    "exercise_frozen": "exercise: frozen",
    "exercise_moved": "exercise: moved",
    # What gives the pictures
    "no_video_file": "{path}: there is no such video file. Check path in [source].",
    "empty_video": "{path}: the video file is empty (0 bytes). Copy it again.",
    "no_video": "{path}: not a video that can be read. Try to play it; convert it to MP4 (H.264) or AVI.",
    "no_folder": "{path}: there is no such folder of images. Check path in [source].",
    "no_images": "{path}: holds no image ({endings}).",
    "damaged_video": "{path}: opens, but not one picture of it can be read: damaged. Copy it again.",
    "video_gone": "{path}: cannot be read any more.",
    "stream_ended": "{camera}: the stream has ended, or been silent for {seconds} s",
    "no_stream": "{camera}: no stream can be opened there. Is the camera on, and are path, user and password right?",
    "camera_gone": "{camera}: the camera gives no picture any more. Is it still plugged in?",
    "no_camera": "{camera}: there is no such camera. Is it plugged in? Video devices here: {there}",
    "no_video_devices": "none",
    "no_video_device": "{camera}: not a video device. Give /dev/videoN",
    "camera_closed": "{camera}: this user may not open it. Add the user to the group video",
    "camera_busy": "{camera}: it cannot be opened as a camera. Does another program use it, or is it not the one that "
    "gives pictures?",
    "opencv_ended": "{camera}: OpenCV cannot go on: {error}",
    "no_endpoint": '"{endpoint}": {error}. Give tcp://127.0.0.1:PORT, as the camera has it.',
    "other_camera": '{endpoint}: shows the camera "{shown}", and this node is of "{sensor}"',
    "rendered": "{camera}: its pictures carry the mark SIM: they are rendered, and this node's key is live. Give it a "
    "real camera, or a key of the training realm.",
    "held_back": "pictures come: the first {number} are searched for the mark SIM before any is used",
    # A camera that turns
    "turning": 'turning to the preset "{preset}"',
    "looks_nowhere": "nobody knows where the camera looks: {why}",
    "turn_unsaid": "it has not said within {seconds} s that it is there",
    "turner_not_started": "the process that turns it does not start: {error}",
    "turner_died": "the process that turns it has died (exit status {status})",
    "turn_broke": "the camera was told to turn, and then: {error}",
    "turn_late": "after {seconds} s it still turns; is turn_s of [ptz] too short?",
    "turn_unknown": "{why}; whether it turns it does not say",
    "turn_refused": 'the camera refuses its preset "{preset}": {error}',
    "camera_answers": "the camera answers {status} {text}",
    "camera_password": "the camera answers {status} {text}: look at user and password in [ptz]",
    "camera_silent": "the camera does not answer: {error}",
    "camera_login": "the camera asks for a log-in that is not known here: {error}",
    "no_onvif": "ONVIF needs a library that is not here: .venv/bin/pip install onvif-zeep-async",
    "onvif_password": "the camera at {camera} does not let this node in: look at user and password in [ptz] ({error})",
    "onvif_other": "the camera at {camera} answers, and not as ONVIF does",
    "onvif_silent": "the camera at {camera} does not answer: {error}",
    "no_ptz": "the camera has no media profile that can turn: is it a PTZ camera?",
    "no_answer_in_time": "no answer in time",
    # Where it is: a receiver beside a fixed camera
    "gnss_moved": "GNSS puts this camera {metres} m {side} of its survey: it was moved, the survey is of another place, "
    "or the signal is spoofed",
    "gnss_jumped": "the GNSS position jumped by {metres} m",
    "position_unchecked": "position unchecked for {seconds} s: {why}",
    "position_not_checked": "position not checked: {why}",
    "no_fix_yet": "no fix yet",
    "no_new_fix": "no new fix for {seconds} s",
    "fix_repeated": "gpsd repeats the fix of {at}: the receiver has stopped",
    "fix_of_another_day": "the fix is of {at} and this machine's clock says {now}: the receiver or the clock is wrong",
    "no_receiver": "no GNSS receiver is connected to gpsd",
    "receiver_silent": "the GNSS receiver has said nothing yet",
    "no_fix": "the GNSS receiver has no fix: too few satellites, or jammed",
    "fix_without_place": "the GNSS receiver reports a fix without a place or a time",
    "fix_off_earth": "the GNSS receiver reports {lat}, {lon}, which is not on the Earth",
    "gpsd_senseless": "gpsd's answer makes no sense: {error}",
    "gpsd_unreached": "{gpsd} is not reached ({error}). Is it installed and running?",
    "gpsd_protocol": "{gpsd} does not speak gpsd's protocol 3",
    "gpsd_gone": "{gpsd} has gone ({error})",
    "gpsd_not_json": "{gpsd} sent a line that is not JSON: {line}",
    "gpsd_no_object": "{gpsd} sent no object: {line}",
    "gpsd_refuses": "{gpsd} refuses: {error}",
    "gpsd_no_reason": "no reason given",
    "gpsd_hangs": "{gpsd} accepts and then says nothing for {seconds} s: it hangs. Restart it.",
    "gpsd_endless": "{gpsd} sent a line without end",
    "gpsd_closed": "{gpsd} has closed the connection",
    "gpsd_broke_off": "{gpsd} has closed the connection in the middle of a line",
    "compass_north": "north",
    "compass_north_east": "north-east",
    "compass_east": "east",
    "compass_south_east": "south-east",
    "compass_south": "south",
    "compass_south_west": "south-west",
    "compass_west": "west",
    "compass_north_west": "north-west",
    # Where it is: a drone
    "drone_untold": "no {what} from the drone yet",
    "drone_late": "the drone's {what} is {seconds} s away from the frame; {most} s are allowed",
    "drone_gap": "a gap of {seconds} s in the drone's {what}; {most} s are allowed",
    "drone_position": "position",
    "drone_attitude": "attitude",
    "drone_gimbal": "gimbal attitude",
    "no_mount": "no mount is known",
    "autopilot_awaited": "{connection}: waiting for the autopilot to say who it is",
    "autopilot_simulated": "{connection}: the autopilot is simulated, and this node's key is live",
    "autopilot_real": "{connection}: the autopilot is a real one, and this node's key is of the training realm",
    "link_unconnected": "not connected yet",
    "link_refused": "{connection}: no connection: {error}",
    "link_closed": "{connection}: the connection was closed",
    "link_silent": "{connection}: nothing came for {seconds} s",
    "link_broke": "{connection}: {error}",
    # Its clock
    "clock_ahead": "this machine's clock is {seconds} s ahead of GNSS time",
    "clock_behind": "this machine's clock is {seconds} s behind GNSS time",
    "clock_set": "this machine's clock was set by {seconds} s at {at} UTC",
    # The machine, and what runs on it
    "disk_full": "only {mb} MB free on the disk of {folder}",
    "disk_unknown": "the disk of {folder} cannot be asked: {error}",
    "no_pixels": "detections drawn from the truth by a detector model; no pixels",
    "hot": "{celsius} degrees Celsius inside: shade it, or clean its cooling",
    "slow_detector": "the detector runs through ultralytics, several times slower: {error}",
    "full_precision": "the detector runs in fp32 and not in {wanted}: {error}. Check it: ./trailwatch models export "
    "--precision {wanted} --check FOLDER",
    "no_plates": "plates are not read: rapidocr is not installed. Start by ./trailwatch, which installs it.",
    "plates_failed": "the process that reads plates has failed ({error})",
    "plates_died": "the process that reads plates has failed ({error}, exit status {status})",
    "no_answer": "no answer",
    # Its line to the station, and what waits for it
    "station_unreached": "the station at {endpoint} is not reached",
    "station_says": "the station at {endpoint} says: {reason}",
    "key_refused": 'the station at {endpoint} refused our key (node "{node}", public {public}): add it to nodes.toml of '
    "that station",
    "no_handshake": "the station at {endpoint} breaks off the handshake, or the line is very slow: is station_public the "
    "key that this station printed, and does its nodes.toml hold ours?",
    "outbox_refused": "outbox: the disk takes no messages ({error})",
    "outbox_damaged": "outbox: the file was damaged and is put aside as {aside}; {waiting} messages that waited are "
    "saved, {lost} are lost and counted as dropped",
    "outbox_damaged_unknown": "outbox: the file was damaged and is put aside as {aside}; {waiting} messages that waited "
    "are saved; how many are lost is not known, and the ledger begins anew",
    # Its answers to orders
    "order_left_by_start": "the node was started anew while it had this order in hand: give it again",
    "order_left_by_end": "the node was stopped while it had this order in hand: give it again",
    "order_id": "an order's id has 1 to {most} printable characters",
    "order_disk": "the node's disk takes no orders: {error}",
    "order_sensor": 'this node\'s sensor is "{sensor}", not "{wanted}"',
    "order_late": "too late: it was valid until {until}, and this node's clock says {now}",
    "order_no_profile": 'there is no profile "{wanted}"; there are {there}',
    "order_clip_long": "a clip goes from at most {before} s before to {after} s after the order",
    "order_unknown": 'this node does not know the order "{wanted}"',
    "order_many": "{n} orders are in hand: wait for their answers",
    "order_drone": "a drone and its gimbal are commanded by the fleet alone",
    "order_no_presets": "this camera has no presets: its node's settings name none, and nothing that turns it",
    "order_no_preset": 'there is no preset "{wanted}"; there are {there}',
    "order_turning": 'it is turning to the preset "{preset}": wait until it is there, and order again',
    "order_profile_lost": "the node's disk does not keep the profile, so it stays {profile}: {error}",
    "order_profile": "the profile is {profile}; it was {before}",
    "order_picture": "a picture of {width} x {height} pixels is on its way",
    "order_clip": "a clip of {n} pictures over {seconds} s is on its way",
    "order_no_picture": "the camera gave no picture in that time",
    "order_preset": 'the camera looks at the preset "{preset}"',
    "order_preset_said": 'the camera looks at the preset "{preset}"; nobody here turns this camera, so see to it that it '
    "does",
    "order_still_there": 'it still looks at "{preset}"',
}


class Worded(msgspec.Struct, frozen=True):
    """A text as a key of the language files, with PREFIX, and its values. key is empty where there is none."""

    key: str = ""
    params: dict[str, Value] = {}


NO_WORDS = Worded()


class NodeText(str):
    """An English text for people that knows its key and values."""

    worded: Worded

    def __new__(cls, text: str = "", worded: Worded = NO_WORDS) -> NodeText:
        made = super().__new__(cls, text[:OWN_LIMIT])
        made.worded = worded
        return made


NO_TEXT = NodeText()


def node_text(key: str, **values: Value) -> NodeText:
    """The text of a key of NODE_WORDS, and what it is made of. Raises KeyError for a key or a value that is not there."""
    params: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, NodeText):
            params |= nested(name, value)
        else:
            params[name] = value
    return NodeText(NODE_WORDS[key].format(**values), Worded(PREFIX + key, params))


def nested(name: str, text: str, worded: Worded | None = None) -> dict[str, Value]:
    """A text as the value `name` of another sentence: itself, and its key and values by longer names where it has a key.

    worded: of a text that came over the wire; what is no key of a node's is left out.
    """
    known = worded or (text.worded if isinstance(text, NodeText) else NO_WORDS)
    if not known.key.startswith(PREFIX):
        return {name: str(text)}
    return {name: str(text), f"{name}|key": known.key, **{f"{name}|{n}": v for n, v in known.params.items()}}


def all_of(*texts: NodeText) -> NodeText:
    """Those of them that say something, as one."""
    said = [t for t in texts if t]
    whole = said[0] if said else NO_TEXT
    for t in said[1:]:
        whole = node_text("both", first=whole, second=t)
    return whole
