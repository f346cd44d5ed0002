"""Answers by XMPP with slixmpp: waits for one message, answers it, and leaves.

    python3 echo.py user1@localhost Pass certificate.pem
"""

import os
import sys

import slixmpp

jid, password, certificate = sys.argv[1:]
address = os.environ.get("XMPP_SERVICE", "xmpp://localhost:5222").removeprefix("xmpp://")


class Echo(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(jid + "/echo", password)
        self.ca_certs = certificate
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", self.refused)
        self.add_event_handler("message", self.received)

    def started(self, _event):
        self.send_presence()
        print("waiting as", self.boundjid.bare, flush=True)

    def refused(self, _event):
        print("refused", flush=True)

    def received(self, message):
        if message["type"] == "chat" and message["body"]:
            print(f"{message['from'].bare}: {message['body']}", flush=True)
            message.reply(f"You said: {message['body']}").send()
            self.disconnect()


host, port = address.split(":")
echo = Echo()
echo.connect((host, int(port)))
echo.loop.run_until_complete(echo.disconnected)
