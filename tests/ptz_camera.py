"""A stand-in for a PTZ camera: a head that really takes its time, behind ONVIF's SOAP and a CGI address on a real socket.

No real PTZ camera was at hand when this was written. What it says follows ONVIF's specifications (Core 24.06, PTZ 5.4, Media
5.2) as the library that asks it, with the WSDL files of ONVIF, can read it; what vendors make of those it does not know.
"""

import base64
import contextlib
import hashlib
import math
import threading
import time
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ENVELOPE = (
    f'<s:Envelope xmlns:s="{SOAP}" xmlns:tt="http://www.onvif.org/ver10/schema" '
    'xmlns:ter="http://www.onvif.org/ver10/error" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:tptz="http://www.onvif.org/ver20/ptz/wsdl"><s:Body>{}</s:Body></s:Envelope>'
)
SERVICES = {
    "device_service": "http://www.onvif.org/ver10/device/wsdl", "media_service": "http://www.onvif.org/ver10/media/wsdl",
    "ptz_service": "http://www.onvif.org/ver20/ptz/wsdl",
}
USER, PASSWORD = "node", "a secret: of the mast"

LOOKS = "yaw_deg = 184.0\npitch_deg = -21.0\n"      # of the edge's tests' settings; a camera that turns has none of its own


def turning(presets, by="none", more=""):
    """What to replace in those settings for a camera that turns."""
    return [(LOOKS, ""), ("[source]", f'[ptz]\nby = "{by}"\n{more}\n{presets}\n[source]')]


class PtzCamera:
    """presets: token to (pan, tilt) in degrees. speed: degrees a second. What goes wrong is set on it while it runs.

    fault: "" or one of "silent" (takes the request to turn and never answers), "stuck" (turns for ever), "status" (does not
    tell whether it moves), "dies" (breaks off after it was told to turn), "skewed" (its clock is two hours fast).
    """

    def __init__(self, presets, speed=40.0, at=None):
        self.presets, self.speed, self.fault = presets, speed, ""
        self.asked = []             # tokens, as they were ordered
        self._from = self._to = at or next(iter(presets.values()))
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._nonces = set()
        handler = type("Handler", (_Handler,), {"camera": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def looks(self):
        """(pan, tilt) in degrees, now."""
        with self._lock:
            way = [b - a for a, b in zip(self._from, self._to, strict=True)]
            share = min(1.0, (time.monotonic() - self._began) * self.speed / max(1e-9, math.hypot(*way)))
            return tuple(a + share * w for a, w in zip(self._from, way, strict=True))

    @property
    def moves(self):
        return self.fault == "stuck" or self.looks() != self._to

    def go(self, token):
        here = self.looks()
        self.asked.append(token)
        with self._lock:
            self._from, self._to, self._began = here, self.presets[token], time.monotonic()

    @property
    def now(self):
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + (7200 if self.fault == "skewed" else 0), UTC)

    def lets_in(self, envelope):
        """WS-Security UsernameToken with a password digest: base64(sha1(nonce + created + password)), fresh, and once."""
        found = {e.tag.rpartition("}")[2]: (e.text or "").strip() for e in envelope.iter()}
        nonce, created = found.get("Nonce", ""), found.get("Created", "")
        if found.get("Username") != USER or not nonce or nonce in self._nonces:
            return False
        self._nonces.add(nonce)
        digest = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        age = abs((self.now - datetime.fromisoformat(created.replace("Z", "+00:00"))).total_seconds())
        return age < 300 and base64.b64encode(digest).decode() == found.get("Password")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    camera: PtzCamera

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        envelope = ET.fromstring(data)
        request = envelope.find(f"{{{SOAP}}}Body")[0]
        name = request.tag.rpartition("}")[2]
        if name != "GetSystemDateAndTime" and not self.camera.lets_in(envelope):
            self._fault("ter:NotAuthorized", "Sender not authorized", 400)
            return
        text = {e.tag.rpartition("}")[2]: e.text for e in request.iter()}
        handle = getattr(self, f"_{name}", None)
        if handle is None:
            self._fault("ter:ActionNotSupported", f"{name} is not supported", 500)
            return
        with contextlib.suppress(ConnectionAbortedError):
            handle(text)

    def _GetSystemDateAndTime(self, _):
        at = self.camera.now
        clock = (
            f"<tt:Time><tt:Hour>{at.hour}</tt:Hour><tt:Minute>{at.minute}</tt:Minute><tt:Second>{at.second}</tt:Second></tt:Time>"
            f"<tt:Date><tt:Year>{at.year}</tt:Year><tt:Month>{at.month}</tt:Month><tt:Day>{at.day}</tt:Day></tt:Date>"
        )
        self._say(
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
            f"<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>{clock}</tt:UTCDateTime>"
            "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _GetServices(self, _):
        each = "".join(
            f"<tds:Service><tds:Namespace>{space}</tds:Namespace><tds:XAddr>http://127.0.0.1:{self.camera.port}/onvif/{name}"
            "</tds:XAddr><tds:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></tds:Version></tds:Service>"
            for name, space in SERVICES.items()
        )
        self._say(f"<tds:GetServicesResponse>{each}</tds:GetServicesResponse>")

    def _GetProfiles(self, _):
        """A stream without PTZ first: the node has to find the other."""
        ptz = (
            '<tt:PTZConfiguration token="ptz0"><tt:Name>head</tt:Name><tt:UseCount>1</tt:UseCount>'
            "<tt:NodeToken>node0</tt:NodeToken></tt:PTZConfiguration>"
        )
        self._say(
            '<trt:GetProfilesResponse><trt:Profiles token="fixed" fixed="true"><tt:Name>thermal</tt:Name></trt:Profiles>'
            f'<trt:Profiles token="main" fixed="true"><tt:Name>main</tt:Name>{ptz}</trt:Profiles></trt:GetProfilesResponse>'
        )

    def _GotoPreset(self, text):
        if text["ProfileToken"] != "main":
            self._fault("ter:NoProfile", "the profile does not exist", 400)
            return
        if text["PresetToken"] not in self.camera.presets:
            self._fault("ter:NoToken", "the requested preset token does not exist", 400)
            return
        self.camera.go(text["PresetToken"])
        if self.camera.fault == "silent":
            time.sleep(60)
        if self.camera.fault == "dies":
            self.close_connection = True
            return
        self._say("<tptz:GotoPresetResponse/>")

    def _GetStatus(self, _):
        pan, tilt = self.camera.looks()
        how = "MOVING" if self.camera.moves else "IDLE"
        move = "" if self.camera.fault == "status" else (
            f"<tt:MoveStatus><tt:PanTilt>{how}</tt:PanTilt><tt:Zoom>IDLE</tt:Zoom></tt:MoveStatus>"
        )
        self._say(
            f'<tptz:GetStatusResponse><tptz:PTZStatus><tt:Position><tt:PanTilt x="{pan / 180 - 1:.5f}" y="{tilt / 90:.5f}"/>'
            f'<tt:Zoom x="0"/></tt:Position>{move}<tt:UtcTime>{self.camera.now:%Y-%m-%dT%H:%M:%SZ}</tt:UtcTime>'
            "</tptz:PTZStatus></tptz:GetStatusResponse>"
        )

    def do_GET(self):
        """The CGI road, with HTTP digest: /cgi?preset=TOKEN."""
        said = self.headers.get("Authorization", "")
        parts = dict(p.strip().split("=", 1) for p in said.removeprefix("Digest ").split(", ")) if said else {}
        parts = {k: v.strip('"') for k, v in parts.items()}

        def md5(text):
            return hashlib.md5(text.encode()).hexdigest()

        ha1, ha2 = md5(f"{USER}:mast:{PASSWORD}"), md5(f"GET:{self.path}")
        qop = ":".join((parts.get("nc", ""), parts.get("cnonce", ""), parts.get("qop", "")))
        if parts.get("response") != md5(f"{ha1}:{parts.get('nonce', '')}:{qop}:{ha2}"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Digest realm="mast", qop="auth", nonce="abc123"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        token = parse_qs(urlparse(self.path).query)["preset"][0]
        known = token in self.camera.presets
        if known:
            self.camera.go(token)
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _say(self, body, status=200):
        data = ENVELOPE.format(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _fault(self, code, words, status):
        self._say(
            f'<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{code}</s:Value></s:Subcode></s:Code>'
            f'<s:Reason><s:Text xml:lang="en">{words}</s:Text></s:Reason></s:Fault>', status,
        )

    def log_message(self, *_):
        """Silent."""
