"""Remote administration over MQTT: commands below ./cmd/ from those who have a key (docs/remote-protocol.md).

This is what stays in RAM while nobody talks to the node. The rest is imported when a message comes, and let go of when
the last session is over: gate.py (who may come in), session.py (the messages of one session), command.py (a command at
work, and the table of verbs). Each verb is in a module that is there while it runs.
"""

import sys

import coldframe
from micropython import const

_ID = const(8)  # characters of a session's name


class Remote:
    """The node's side of remote administration. node.remote is the one there is.

    Attributes: sessions (name -> coldframe.remote.session.Session), refused (messages so far that bore a wrong key),
    writing (what put is at work on).
    """

    refused = 0
    writing = ()
    buffer = 512  # bytes of an incoming packet, at most; see mqtt/configured.py
    running = None  # coldframe.remote.runner.Runner while code of a host's runs
    gate = None  # coldframe.remote.gate.Gate while somebody is about
    plain = None  # coldframe.remote.plain.Plain, with remote.insecure

    def __init__(self, node):
        self.node = node
        self.sessions = {}
        self.prefix = node.base + "/cmd/"
        node.subscribe("./cmd/#", self.message, 1)
        node.on("stop", self.stop)
        if node.config["remote.insecure"]:
            from .plain import Plain

            self.plain = Plain(self)

    def message(self, topic, payload, retained=False):
        """Take a message from the client's reader. topic: str; payload: bytes-like. Returns nothing, never waits."""
        if retained:
            return  # nobody has just sent it
        parts = topic[len(self.prefix) :].split("/", 2) if topic.startswith(self.prefix) else ()
        session = self.sessions.get(parts[1]) if len(parts) == 2 else None
        if session and parts[0] != "hello" and parts[0] != "open":
            session.message(topic, parts[0], payload)
            return
        if self.plain and self.plain.message(topic, payload):
            return
        if len(parts) != 2 or len(parts[1]) != _ID:
            return
        if self.gate is None:
            from .gate import Gate

            self.gate = Gate(self)
        self.gate.message(topic, parts[0], parts[1], payload)

    def stop(self):
        """End all sessions, and what runs in them."""
        for session in list(self.sessions.values()):
            session.close()

    def tidy(self):
        """Let go of the modules of verbs, and of all of them once nobody is about."""
        keep = ("gate", "session", "command", "plain") if self.gate else ()
        for name in list(sys.modules):
            if name.startswith("coldframe.remote.") and name[17:] not in keep:
                coldframe.forget(name[10:])


def start(node):
    """Listen for commands from now on. Called by the node if the configuration says anything about remote."""
    c = node.config
    if c["remote.key"] or c["remote.keys"] or c["remote.insecure"]:
        node.remote = Remote(node)
    else:
        node.log.warning("remote: off, for there is neither remote.key nor remote.keys")
        coldframe.forget("remote")
