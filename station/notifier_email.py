"""Notices by e-mail, over SMTP (RFC 5321), in Vietnamese and in English below it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from geofences.sector import Sector, load_sector
from station.language import LANGUAGES, words
from station.notifier import Notice, NotifyError
from station.notifier_settings import EmailSettings
from station.settings import StationSettings
from wire.clock import NS_PER_S
from wire.units import Realm

SMTP_OK = 250                   # RFC 5321, 4.2.3


class EmailNotifier:
    """Hands each notice to one mail server."""

    def __init__(self, settings: StationSettings, email: EmailSettings) -> None:
        self._settings = settings
        self._email = email
        self._sector: Sector = load_sector(settings.sector)

    def tell(self, notice: Notice) -> None:
        """Returns when the server has taken it for at least one address. Raises NotifyError."""
        message = self.message(notice)
        with self._server() as server:
            refused = server.send_message(message)
        if refused:
            raise NotifyError(f"{self._email.host}:{self._email.port}: refused {', '.join(sorted(refused))}")

    def check(self) -> None:
        """Whether the server is there, and lets us in. Raises NotifyError."""
        with self._server() as server:
            code, words = server.noop()
            if code != SMTP_OK:
                raise NotifyError(f"{self._email.host}:{self._email.port}: {code} {words.decode(errors='replace')}")

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        """A session in which mail may be sent. Raises NotifyError for whatever goes wrong in it."""
        e = self._email
        try:
            if e.tls == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    e.host, e.port, timeout=e.timeout_s, context=ssl.create_default_context()
                )
            else:
                server = smtplib.SMTP(e.host, e.port, timeout=e.timeout_s)
            with server:
                if e.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if e.user:
                    server.login(e.user, self._password())
                yield server
        except (OSError, smtplib.SMTPException) as error:
            raise NotifyError(f"{e.host}:{e.port}: {error or type(error).__name__}") from None

    def message(self, notice: Notice) -> EmailMessage:
        """What is sent: times, numbers and kinds, and nothing about a person."""
        names: dict[str, str] = {}
        parts, subjects = [], []
        for language in LANGUAGES:
            w = words(language, names, self._sector.utc_offset_min)
            what = w.t(f"notify.{notice.what}")
            if notice.alarm:
                subjects.append(w.t("notify.subject", what=what, priority=notice.priority))
                parts.append(what + ".\n" + w.t(
                    "notify.body", alarm=notice.alarm, priority=notice.priority, rule=notice.rule, state=notice.state,
                    raised=f"{w.time(notice.raised_ns, with_date=True)} {w.zone()}", told=w.time(notice.told_ns),
                ))
            else:
                subjects.append(what)
                parts.append(what + ".")
        training = "[HUẤN LUYỆN/TRAINING] " if self._settings.realm is Realm.TRAINING else ""
        message = EmailMessage()
        message["From"] = self._email.sender
        message["To"] = ", ".join(self._email.to)
        message["Subject"] = f"{training}Trailwatch {self._sector.name}: {' / '.join(subjects)}"
        message["Date"] = formatdate(notice.told_ns / NS_PER_S)
        message["Message-ID"] = make_msgid(domain="trailwatch.invalid")
        message.set_content("\n\n".join([*([training.strip()] if training else []), *parts]) + "\n")
        return message

    def _password(self) -> str:
        path = self._settings.file.parent / self._email.password_file
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotifyError(f"{path}: the password cannot be read: {error}") from None
