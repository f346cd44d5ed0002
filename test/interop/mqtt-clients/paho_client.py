"""Paho MQTT, told what to do by lines of JSON and telling what happens in lines of JSON.

    python3 paho_client.py SETTINGS

Each line of standard input is a command and is answered by one line with "reply" when it is done; lines with "event" come
at any time.
"""

import json
import socket
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 60
settings = json.loads(sys.argv[1])
is_new = settings["version"] == 5
printing = threading.Lock()


def tell(**line):
    with printing:
        print(json.dumps(line), flush=True)


def properties(packet, values):
    if not is_new or values is None:
        return None
    result = Properties(packet)
    for name, value in values.items():
        if name == "UserProperty":
            value = [tuple(pair) for pair in value]
        elif name == "CorrelationData":
            value = value.encode()
        setattr(result, name, value)
    return result


def plain(values):
    """Properties that came, as JSON can say them."""
    if values is None:
        return {}
    result = {}
    for name, value in vars(values).items():
        if name in ("packetType", "types", "names", "properties"):
            continue
        result[name] = value.decode() if isinstance(value, bytes) else value
    return result


def number(code):
    return code.value if hasattr(code, "value") else int(code)


class Acknowledgements:
    """What came for a packet identifier, perhaps before anybody knew of it."""

    def __init__(self):
        self.codes = {}
        self.came = threading.Condition()

    def put(self, mid, codes):
        with self.came:
            self.codes[mid] = codes
            self.came.notify_all()

    def take(self, mid):
        with self.came:
            self.came.wait_for(lambda: mid in self.codes, PATIENCE)
            return self.codes.pop(mid)


acknowledged = Acknowledgements()


def on_connect(_client, _data, flags, code, values=None):
    tell(
        event="connect",
        code=number(code),
        sessionPresent=bool(flags["session present"]),
        properties=plain(values),
    )


def on_disconnect(_client, _data, code, values=None):
    tell(event="disconnect", code=number(code), properties=plain(values))


def on_message(_client, _data, message):
    tell(
        event="message",
        topic=message.topic,
        payload=message.payload.decode(),
        qos=message.qos,
        retain=bool(message.retain),
        properties=plain(getattr(message, "properties", None)),
    )


def on_subscribe(_client, _data, mid, codes, _values=None):
    acknowledged.put(mid, [number(code) for code in codes])


def on_unsubscribe(_client, _data, mid, *_rest):
    acknowledged.put(mid, [])


def create():
    options = {} if is_new else {"clean_session": settings["clean"]}
    client = mqtt.Client(
        settings["clientId"],
        protocol=settings["version"],
        transport=settings["transport"],
        **options,
    )
    client.username_pw_set(settings["user"], settings["password"])
    client.ws_set_options("/mqtt")
    if settings.get("cafile"):
        client.tls_set(settings["cafile"])
    will = settings.get("will")
    if will:
        client.will_set(
            will["topic"],
            will["payload"],
            will["qos"],
            will["retain"],
            properties(PacketTypes.WILLMESSAGE, will.get("properties")),
        )
    for handler in (on_connect, on_disconnect, on_message, on_subscribe, on_unsubscribe):
        setattr(client, handler.__name__, handler)
    # The shortest that Paho knows.
    client.reconnect_delay_set(1, 1)
    return client


client = create()


def connect():
    new = {}
    if is_new:
        new["clean_start"] = settings["clean"]
        new["properties"] = properties(PacketTypes.CONNECT, settings.get("properties"))
    client.connect("localhost", settings["port"], settings["keepalive"], **new)
    client.loop_start()


def subscribe(filters, options=None, properties_=None):
    if options is not None:
        requested = [(name, SubscribeOptions(qos, **options)) for name, qos in filters]
    elif is_new:
        requested = [(name, SubscribeOptions(qos)) for name, qos in filters]
    else:
        requested = [(name, qos) for name, qos in filters]
    _, mid = client.subscribe(requested, properties=properties(PacketTypes.SUBSCRIBE, properties_))
    return acknowledged.take(mid)


def unsubscribe(filters):
    _, mid = client.unsubscribe(filters)
    return acknowledged.take(mid)


def publish(messages):
    """All at once; done when the last one is acknowledged."""
    infos = [
        client.publish(
            message["topic"],
            message["payload"],
            message.get("qos", 0),
            message.get("retain", False),
            properties(PacketTypes.PUBLISH, message.get("properties")),
        )
        for message in messages
    ]
    for info in infos:
        info.wait_for_publish(PATIENCE)
    return all(info.is_published() for info in infos)


def drop():
    """The connection breaks without a word."""
    connection = client.socket()
    connection = getattr(connection, "_socket", connection)  # of Paho's own WebSocket
    connection.shutdown(socket.SHUT_RDWR)


def disconnect():
    client.disconnect()
    client.loop_stop()


commands = {
    name: globals()[name]
    for name in ("connect", "subscribe", "unsubscribe", "publish", "drop", "disconnect")
}

for line in sys.stdin:
    command = json.loads(line)
    name = command.pop("do")
    tell(reply=commands[name](**command))
